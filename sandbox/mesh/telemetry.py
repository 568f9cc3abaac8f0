"""What Telemetry objects say of a workload: of its spans, and whether it has an access log.

One for the mesh (in the root namespace, without a selector), one for the namespace (of several the oldest counts),
and all that select the workload: what a later one says comes in place of what an earlier one did, field by field,
as istiod merges them (pilot/pkg/model/telemetry.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sandbox.core.cluster import Object
from sandbox.mesh.mesh_config import OFF, STREAMS, AccessLog, MeshConfig
from sandbox.mesh.rules import ROOT_NAMESPACE

Mode = Literal["CLIENT", "SERVER"]
"""What a proxy is to a request: a sidecar that sends it on and a gateway are its client."""


@dataclass(frozen=True)
class Traced:
    """What is to become of one side's spans."""

    provider: str = ""
    """Nothing is traced without one."""
    disabled: bool = False
    percent: float | None = None
    """Of requests that do not come with a decision; None: as the mesh's ConfigMap says."""
    tags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    istio_tags: bool = True


def concerning(telemetries: Iterable[Object], namespace: str, labels: Mapping[str, str]) -> tuple[Object, ...]:
    """Those that say something of a workload, the widest first. `telemetries` are all, the oldest first."""
    telemetries = tuple(telemetries)
    found = [_first(telemetries, ROOT_NAMESPACE)]
    if namespace != ROOT_NAMESPACE:
        found.append(_first(telemetries, namespace))
    selecting = (
        one
        for one in telemetries
        if one["metadata"]["namespace"] == namespace
        and (wanted := _selector(one))
        and wanted.items() <= labels.items()
    )
    return (*(one for one in found if one is not None), *selecting)


def _first(telemetries: Iterable[Object], namespace: str) -> Object | None:
    here = (one for one in telemetries if one["metadata"]["namespace"] == namespace and not _selector(one))
    return next(here, None)


def _selector(telemetry: Object) -> Mapping[str, str]:
    return (_spec(telemetry).get("selector") or {}).get("matchLabels") or {}


def _spec(telemetry: Object) -> Mapping[str, Any]:
    return telemetry.get("spec") or {}


def traced(concerned: Iterable[Object], mode: Mode, mesh: MeshConfig) -> Traced:
    """What becomes of the spans of a workload that these Telemetries concern."""
    found = Traced(mesh.default_tracing)
    for telemetry in concerned:
        for said in _spec(telemetry).get("tracing") or ():
            if (said.get("match") or {}).get("mode", mode) in (mode, "CLIENT_AND_SERVER"):
                found = replace(found, **dict(_changed(said)))
    return found


def _changed(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if said.get("providers"):
        yield "provider", said["providers"][0]["name"]
    for there, here in (
        ("disableSpanReporting", "disabled"),
        ("randomSamplingPercentage", "percent"),
        ("customTags", "tags"),
        ("enableIstioTags", "istio_tags"),
    ):
        if said.get(there) is not None:
            yield here, said[there]


def access_log(concerned: Iterable[Object], mesh: MeshConfig) -> AccessLog:
    """Of a workload that these Telemetries concern: what the ConfigMap says, where they say nothing of `ENVOY`, the
    one provider that they may name. Its lines are as the ConfigMap has them."""
    entries = [said for telemetry in concerned for said in _spec(telemetry).get("accessLogging") or ()]
    named = mesh.default_logging
    logs: bool | None = True if named and not entries else None
    for entry in entries:
        named = named or bool(entry.get("providers"))
        if named:
            logs = not entry.get("disabled")
    if logs is None:
        return mesh.access_log
    return replace(mesh.access_log, file=STREAMS[0]) if logs else OFF
