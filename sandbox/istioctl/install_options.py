"""What to install: a profile, and what `-f` and `--set` change of it.

Everything that is not in these tables is refused, since an option without effect would be a lie.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from sandbox.istioctl.command_line import FileError, UsageError
from sandbox.mesh import mesh_config
from sandbox.mesh.istio import HUB, ISTIO_NAMESPACE, VERSION

PROFILES = ("default", "demo", "minimal", "empty")
_INGRESS, _EGRESS = "istio-ingressgateway", "istio-egressgateway"


@dataclass(frozen=True)
class Options:
    profile: str = "default"
    hub: str = HUB
    tag: str = VERSION
    pilot: bool = True
    ingress: bool = True
    egress: bool = False
    ingress_type: str = "LoadBalancer"
    ingress_address: str = ""
    ingress_annotations: dict[str, str] = field(default_factory=dict)
    access_log_file: str = ""
    access_log_encoding: str = ""
    access_log_format: str = ""
    mesh: Mapping[str, Any] = field(default_factory=dict)
    """What else the mesh's ConfigMap is to say."""


_SETS = {
    **dict.fromkeys(("hub", "values.global.hub"), "hub"),
    **dict.fromkeys(("tag", "values.global.tag"), "tag"),
    f"values.gateways.{_INGRESS}.type": "ingress_type",
    f"values.gateways.{_INGRESS}.loadBalancerIP": "ingress_address",
    f"values.gateways.{_INGRESS}.serviceAnnotations.*": "ingress_annotations",
    "components.ingressGateways.k8s.serviceAnnotations.*": "ingress_annotations",
    "meshConfig.accessLogFile": "access_log_file",
    "meshConfig.accessLogEncoding": "access_log_encoding",
    "meshConfig.accessLogFormat": "access_log_format",
    "components.pilot.enabled": "pilot",
    "components.ingressGateways.enabled": "ingress",
    "components.egressGateways.enabled": "egress",
}
"""What each path below an IstioOperator's `spec` sets; a list's position is left out, `*` stands for any key."""

_ALLOWED: dict[str, tuple[Any, ...]] = {
    f"values.gateways.{_INGRESS}.type": ("ClusterIP", "NodePort", "LoadBalancer"),
    "meshConfig.accessLogFile": ("", *mesh_config.STREAMS),
    "meshConfig.accessLogEncoding": mesh_config.ENCODINGS,
    "meshConfig.enablePrometheusMerge": (True,),
    "meshConfig.outboundTrafficPolicy.mode": ("ALLOW_ANY",),
    "meshConfig.trustDomain": ("cluster.local",),
    "revision": ("default", ""),
    "components.base.enabled": (True,),
    "components.ingressGateways.name": (_INGRESS,),
    "components.egressGateways.name": (_EGRESS,),
    **dict.fromkeys(("namespace", "values.global.istioNamespace"), (ISTIO_NAMESPACE,)),
    **dict.fromkeys((f"components.{kind}Gateways.namespace" for kind in ("ingress", "egress")), (ISTIO_NAMESPACE,)),
}
"""Values of those that take a few only, also of such as say what is so anyway."""


_OF_MESH = re.compile(
    r"meshConfig\.(?:enableTracing$|extensionProviders\b|defaultConfig\.tracing\b"
    r"|defaultProviders\.(?:tracing|accessLogging)$)"
)
"""What is said to the mesh as it is written: `mesh_config` decides about it."""
_NUMBERS = ("port", "sampling")
_DEMO = {
    "extensionProviders": [
        {"name": name, "opentelemetry": {"port": 4317, "service": service}}
        for name, service in (
            ("otel-tracing", "opentelemetry-collector.observability.svc.cluster.local"),
            ("jaeger", "jaeger-collector.istio-system.svc.cluster.local"),
        )
    ]
}
"""Of the profile's own those for spans that the mesh here knows."""


def options(files: list[str], sets: list[str]) -> Options:
    """Of `istioctl install`: files first, then `--set` in order. Raises UsageError and FileError."""
    settings: list[tuple[str, str, Any]] = []
    for file in files:
        settings += _flattened("", "", _operator(Path(file)))
    for setting in sets:
        written, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: it is PATH=VALUE")
        path = re.sub(r"\[\d+\]", "", written).replace("\\.", ".")
        settings.append((path, written, {"true": True, "false": False}.get(value, value.strip("\"'"))))
    profile = next((value for path, _, value in reversed(settings) if path == "profile"), "default")
    if profile not in PROFILES:
        raise UsageError(f'profile "{profile}" is not one of the sandbox\'s: {", ".join(PROFILES)}')
    ingress = profile in ("default", "demo")
    chosen = Options(profile, pilot=profile != "empty", ingress=ingress, egress=profile == "demo")
    if profile == "demo":
        chosen = replace(chosen, access_log_file=mesh_config.STREAMS[0], mesh=_DEMO)
    mesh: dict[str, Any] = {}
    for path, written, value in settings:
        if _OF_MESH.match(path):
            _put(mesh, written, value)
        elif path != "profile":
            chosen = replace(chosen, **_changed(chosen, path, written, value))
    chosen = replace(chosen, mesh={**chosen.mesh, **mesh})
    try:
        mesh_config.checked(chosen.access_log_file, chosen.access_log_encoding or "TEXT", chosen.access_log_format)
        mesh_config.of(chosen.mesh)
    except ValueError as error:
        raise UsageError(f"meshConfig.{error}") from error
    return chosen


def _changed(chosen: Options, path: str, written: str, value: Any) -> dict[str, Any]:
    before, annotations, key = path.partition(".serviceAnnotations.")
    pattern = f"{before}{annotations}*" if key else path
    if pattern in _ALLOWED and value not in _ALLOWED[pattern]:
        known = ", ".join(repr(item) for item in _ALLOWED[pattern])
        raise UsageError(f"{written}={value}: not supported by the sandbox's istioctl (supported: {known})")
    field = _SETS.get(pattern)
    if field is None and pattern not in _ALLOWED:
        raise UsageError(f"{written}: not supported by the sandbox's istioctl")
    switch = field in ("pilot", "ingress", "egress")
    if switch and not isinstance(value, bool):
        raise UsageError(f"{written}: {value!r} is not true or false")
    if field == "ingress_annotations":
        if not isinstance(value, str):
            raise UsageError(
                f"{written}: an annotation is text, {value!r} is not: put it into quotes in a file (-f)"
            )
        return {field: {**chosen.ingress_annotations, key: value}}
    return {field: value if switch else str(value)} if field else {}


def _put(mesh: dict[str, Any], written: str, value: Any) -> None:
    """At its place below `meshConfig`; a list has all items before one that is named. Raises UsageError."""
    _, *names = re.findall(r"(?:[^.\[\\]|\\.)+|\[\d+\]", written)
    at: Any = mesh
    for name, below in zip(names, [*names[1:], ""], strict=True):
        inner: Any = [] if below.startswith("[") else {}
        if below == "":
            inner = _number(value) if name in _NUMBERS else value
        if name.startswith("["):
            index = int(name[1:-1])
            if not isinstance(at, list) or index > len(at):
                raise UsageError(f"{written}: there is no item {index - 1} before it")
            at += [inner] if index == len(at) else []
            key: Any = index
        else:
            if not isinstance(at, dict):
                raise UsageError(f"{written}: not an object")
            key = name.replace("\\.", ".")
        at[key] = inner if below == "" else at.setdefault(key, inner) if isinstance(at, dict) else at[key]
        at = at[key]


def _number(value: Any) -> Any:
    """Of a text that is one."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    return value


def _operator(file: Path) -> dict[str, Any]:
    """The `spec` of an IstioOperator in a file."""
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"open {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise FileError(f"{file} is not YAML: {error}") from error
    if not isinstance(found, dict) or found.get("kind") != "IstioOperator":
        raise FileError(f"{file} is not an IstioOperator")
    return found.get("spec") or {}


def _flattened(path: str, written: str, value: Any) -> list[tuple[str, str, Any]]:
    if isinstance(value, dict):
        below = []
        for key, item in value.items():
            joined = f"{path}.{key}" if path else key
            below += _flattened(joined, f"{written}.{key}" if written else key, item)
        return below
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in _flattened(path, f"{written}[{i}]", item)]
    return [(path, written, value)]
