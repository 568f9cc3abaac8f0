"""What the ConfigMap `istio` says of the whole mesh: its access log. The rest of it says what is so here anyway,
and may say nothing else: a setting without effect would be a lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from sandbox.core.cluster import Admission, ApiError, Object
from sandbox.mesh.istio import ISTIO_NAMESPACE

NAME, KEY = "istio", "mesh"

Encoding = Literal["TEXT", "JSON"]

ENCODINGS: tuple[Encoding, ...] = ("TEXT", "JSON")
STREAMS = ("/dev/stdout", "/dev/stderr")
"""Files that a log may be written to: those that are the container's own log."""


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Of every proxy, unless `file` is empty."""

    file: str = ""
    encoding: Encoding = "TEXT"
    format: str = ""
    """In place of Istio's own: a text, or (JSON) an object of names and texts."""


OFF = AccessLog()

ONLY: Mapping[str, Any] = {
    "defaultConfig": {"discoveryAddress": f"istiod.{ISTIO_NAMESPACE}.svc:15012"},
    "defaultProviders": {"metrics": ["prometheus"]},
    "enablePrometheusMerge": True,
    "enableTracing": False,
    "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
    "rootNamespace": ISTIO_NAMESPACE,
    "trustDomain": "cluster.local",
}
"""Settings that may have this value only."""


def access_log(text: str) -> AccessLog:
    """Of a MeshConfig as YAML. Raises ValueError with the path of what is wrong or not supported."""
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ValueError("not a MeshConfig")
    for field, value in config.items():
        if field in ("accessLogFile", "accessLogEncoding", "accessLogFormat"):
            if not isinstance(value, str):
                raise ValueError(f"{field}: {value!r} is not a text")
        elif value != ONLY.get(field, value) or field not in ONLY:
            raise ValueError(f"{field}: not supported by the sandbox")
    return checked(
        config.get("accessLogFile", ""), config.get("accessLogEncoding", "TEXT"), config.get("accessLogFormat", "")
    )


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
        access_log((obj.get("data") or {}).get(KEY) or "")
    except ValueError as error:
        message = f'configmaps "{NAME}" is forbidden: data[{KEY}]: {error}'
        raise ApiError(403, "Forbidden", message) from None
