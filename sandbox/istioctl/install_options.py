"""What to install: a profile, and what `-f` and `--set` change of it.

`SUPPORTED` is all that may be set. Everything else is refused, since an option without effect would be a lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from sandbox.istioctl.command_line import FileError, UsageError
from sandbox.mesh.istio import HUB, ISTIO_NAMESPACE, VERSION

PROFILES = ("default", "demo", "minimal", "empty")
_INGRESS, _EGRESS = "istio-ingressgateway", "istio-egressgateway"
_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")

SUPPORTED = (
    *("profile", "hub", "tag", "revision", "namespace"),
    *("values.global.hub", "values.global.tag", "values.global.istioNamespace"),
    f"values.gateways.{_INGRESS}.serviceAnnotations.*",
    *(f"values.gateways.{_INGRESS}.{name}" for name in ("type", "loadBalancerIP")),
    *("components.pilot.enabled", "components.base.enabled"),
    *(f"components.ingressGateways.{name}" for name in ("name", "namespace", "enabled")),
    "components.ingressGateways.k8s.serviceAnnotations.*",
    *(f"components.egressGateways.{name}" for name in ("name", "namespace", "enabled")),
)
"""Paths below an IstioOperator's `spec`; a list's position is left out, `*` stands for any key."""


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


def options(files: list[str], sets: list[str]) -> Options:
    """Of `istioctl install`: files first, then `--set` in order. Raises UsageError and FileError."""
    settings: list[tuple[str, str, Any]] = []
    for file in files:
        settings += _flattened("", "", _operator(Path(file)))
    for setting in sets:
        written, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: it is PATH=VALUE")
        settings.append((_path(written), written, _scalar(value)))
    for path, written, _ in settings:
        if _pattern(path) not in SUPPORTED:
            raise UsageError(f"{written}: not supported by the sandbox's istioctl")
    chosen = _profile(next((value for path, _, value in reversed(settings) if path == "profile"), "default"))
    for path, written, value in settings:
        chosen = _set(chosen, path, written, value)
    return chosen


def _profile(name: str) -> Options:
    if name not in PROFILES:
        raise UsageError(f'profile "{name}" is not one of the sandbox\'s: {", ".join(PROFILES)}')
    with_pilot = name != "empty"
    return Options(name, pilot=with_pilot, ingress=name in ("default", "demo"), egress=name == "demo")


def _set(chosen: Options, path: str, written: str, value: Any) -> Options:
    switches = {
        "components.pilot.enabled": "pilot",
        "components.ingressGateways.enabled": "ingress",
        "components.egressGateways.enabled": "egress",
    }
    if path in switches:
        if not isinstance(value, bool):
            raise UsageError(f"{written}: {value!r} is not true or false")
        changed: dict[str, Any] = {switches[path]: value}
        return replace(chosen, **changed)
    if ".serviceAnnotations." in path:
        key = path.partition(".serviceAnnotations.")[2]
        if not isinstance(value, str):
            raise UsageError(
                f"{written}: an annotation is text, {value!r} is not: put it into quotes in a file (-f)"
            )
        return replace(chosen, ingress_annotations={**chosen.ingress_annotations, key: value})
    if path in ("hub", "values.global.hub"):
        return replace(chosen, hub=str(value))
    if path in ("tag", "values.global.tag"):
        return replace(chosen, tag=str(value))
    if path.endswith(".type"):
        _one_of(written, value, _SERVICE_TYPES)
        return replace(chosen, ingress_type=value)
    if path.endswith(".loadBalancerIP"):
        return replace(chosen, ingress_address=str(value))
    fixed = {
        "revision": ("default", ""),
        "namespace": (ISTIO_NAMESPACE,),
        "values.global.istioNamespace": (ISTIO_NAMESPACE,),
        "components.base.enabled": (True,),
        "components.ingressGateways.name": (_INGRESS,),
        "components.egressGateways.name": (_EGRESS,),
        "components.ingressGateways.namespace": (ISTIO_NAMESPACE,),
        "components.egressGateways.namespace": (ISTIO_NAMESPACE,),
    }
    if path in fixed:
        _one_of(written, value, fixed[path])
    return chosen


def _one_of(written: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        known = ", ".join(repr(item) for item in allowed)
        raise UsageError(f"{written}={value}: not supported by the sandbox's istioctl (supported: {known})")


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


def _path(written: str) -> str:
    """A `--set` path without positions of lists, and with `\\.` for a dot in a key made plain."""
    return re.sub(r"\[\d+\]", "", written).replace("\\.", ".")


def _pattern(path: str) -> str:
    """The path as `SUPPORTED` writes it: what follows serviceAnnotations is one key, dots and all."""
    before, annotation, key = path.partition(".serviceAnnotations.")
    return f"{before}{annotation}*" if key else path


def _scalar(value: str) -> Any:
    """A value of `--set` as YAML reads it: true and false are no text."""
    return {"true": True, "false": False}.get(value, value.strip("\"'"))
