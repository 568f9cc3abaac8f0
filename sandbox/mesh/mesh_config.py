"""What the ConfigMap `istio` says of the whole mesh: its access log, and where spans go. The rest of it says what
is so here anyway, and may say nothing else: a setting without effect would be a lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from sandbox.core.cluster import Admission, ApiError, Object
from sandbox.mesh import extension_providers
from sandbox.mesh.extension_providers import Provider
from sandbox.mesh.istio import ISTIO_NAMESPACE

NAME, KEY = "istio", "mesh"

Encoding = Literal["TEXT", "JSON"]

ENCODINGS: tuple[Encoding, ...] = ("TEXT", "JSON")
STREAMS = ("/dev/stdout", "/dev/stderr")
"""Files that a log may be written to: those that are the container's own log."""

TRACED_PERCENT = 1.0
"""Of requests, where nobody says it (PILOT_TRACE_SAMPLING)."""
ENVOY = "envoy"
"""The provider of access logs that every mesh has."""


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Of every proxy, unless `file` is empty."""

    file: str = ""
    encoding: Encoding = "TEXT"
    format: str = ""
    """In place of Istio's own: a text, or (JSON) an object of names and texts."""


OFF = AccessLog()


@dataclass(frozen=True, slots=True)
class MeshConfig:
    access_log: AccessLog = OFF
    providers: tuple[Provider, ...] = ()
    default_tracing: str = ""
    """The provider for whom no Telemetry names one."""
    default_logging: bool = False
    """Whether proxies log to `ENVOY` unless a Telemetry says otherwise."""
    traced_percent: float = TRACED_PERCENT

    def provider(self, name: str) -> Provider | None:
        """Names have no case, as with Istio."""
        return next((one for one in self.providers if one.name.lower() == name.lower()), None)


ONLY: Mapping[str, Any] = {
    "defaultConfig.discoveryAddress": f"istiod.{ISTIO_NAMESPACE}.svc:15012",
    "defaultProviders.metrics": ["prometheus"],
    "enablePrometheusMerge": True,
    "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
    "rootNamespace": ISTIO_NAMESPACE,
    "trustDomain": "cluster.local",
}
"""Settings that may have this value only."""
_PARTS = ("defaultConfig", "defaultProviders")
"""Settings that are objects of others."""
_TRACING = "defaultConfig.tracing"
_TEXTS = ("accessLogFile", "accessLogEncoding", "accessLogFormat")


def read(text: str) -> MeshConfig:
    """A MeshConfig as YAML. Raises ValueError with the path of what is wrong or not supported."""
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ValueError("not a MeshConfig")
    return of(config)


def of(config: Mapping[str, Any]) -> MeshConfig:
    """Raises ValueError."""
    said = dict(_settings(config))
    for path, value in said.items():
        if path in _TEXTS:
            if not isinstance(value, str):
                raise ValueError(f"{path}: {value!r} is not a text")
        elif path == "enableTracing":
            # It is about tracers of proxies' own configuration, which is not supported: there is none either way.
            if not isinstance(value, bool):
                raise ValueError(f"{path}: {value!r} is not true or false")
        elif path in ONLY:
            if value != ONLY[path]:
                raise ValueError(f"{path}: not supported by the sandbox")
        elif path not in _READ:
            raise ValueError(f"{path}: not supported by the sandbox")
    encoding, written = said.get("accessLogEncoding", "TEXT"), said.get("accessLogFormat", "")
    return MeshConfig(
        checked(said.get("accessLogFile", ""), encoding, written),
        extension_providers.providers(said.get("extensionProviders", [])),
        _only_name("defaultProviders.tracing", said),
        _logging(_only_name("defaultProviders.accessLogging", said)),
        _traced(said.get(_TRACING)),
    )


_READ = ("extensionProviders", "defaultProviders.tracing", "defaultProviders.accessLogging", _TRACING)


def _settings(config: Mapping[str, Any]) -> Any:
    for field, value in config.items():
        if field in _PARTS and isinstance(value, dict):
            yield from ((f"{field}.{inner}", below) for inner, below in value.items())
        else:
            yield field, value


def _only_name(path: str, said: Mapping[str, Any]) -> str:
    """istiod takes the first of several, and says nothing of the others."""
    names = said.get(path, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: not a list of names")
    if len(names) > 1:
        raise ValueError(f"{path}: not supported by the sandbox: more than one")
    return names[0] if names else ""


def _logging(name: str) -> bool:
    if name not in ("", ENVOY):
        raise ValueError(f"defaultProviders.accessLogging: {name}: not supported by the sandbox, which has {ENVOY}")
    return name == ENVOY


def _traced(said: Any) -> float:
    """`tracing: {}` is what Istio's pages write to say that it has no settings of its own. 0 is as good as nothing,
    and what is beyond all of them is 1 %, as istiod has it (proxyConfigSamplingValue)."""
    if said is not None and not isinstance(said, dict):
        raise ValueError(f"{_TRACING}: not an object")
    for field in said or {}:
        if field != "sampling":
            raise ValueError(f"{_TRACING}.{field}: not supported by the sandbox")
    percent = (said or {}).get("sampling", 0.0)
    if isinstance(percent, bool) or not isinstance(percent, (int, float)):
        raise ValueError(f"{_TRACING}.sampling: {percent!r} is not a number")
    return float(percent) if 0 < percent <= 100 else TRACED_PERCENT


def checked(file: str, encoding: str, format: str) -> AccessLog:
    """Raises ValueError."""
    if file not in ("", *STREAMS):
        raise ValueError(f"accessLogFile: {file}: not supported by the sandbox, which has {', '.join(STREAMS)}")
    for known in ENCODINGS:
        if encoding == known:
            if known == "JSON" and format:
                _fields(format)
            return AccessLog(file, known, format)
    raise ValueError(f"accessLogEncoding: {encoding!r} is not one of {', '.join(ENCODINGS)}")


def _fields(format: str) -> None:
    found = yaml.safe_load(format) if format.lstrip().startswith("{") else None
    if not isinstance(found, dict):
        raise ValueError(f"accessLogFormat: {format!r} is no JSON object")


def require_support(admission: Admission) -> None:
    """A validation hook. Raises ApiError Forbidden for a mesh that cannot be as its ConfigMap wants it."""
    obj: Object = admission.object
    metadata = obj["metadata"]
    if admission.operation == "DELETE" or admission.resource.key != "configmaps":
        return
    if (metadata.get("namespace"), metadata["name"]) != (ISTIO_NAMESPACE, NAME):
        return
    try:
        read((obj.get("data") or {}).get(KEY) or "")
    except ValueError as error:
        message = f'configmaps "{NAME}" is forbidden: data[{KEY}]: {error}'
        raise ApiError(403, "Forbidden", message) from None
