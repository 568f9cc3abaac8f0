"""What `kubectl get` prints: the API itself turns objects into tables.

Each kind has its columns and a function that gives an object's cells; kinds of CRDs take theirs from
`additionalPrinterColumns`. A kind without its own columns has a name and the time of its creation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.api.tables import custom, network, others, workloads
from sandbox.api.tables.columns import Column, columns
from sandbox.core.cluster import Object, Resource

IncludeObject = Literal["None", "Metadata", "Object"]

Row = Callable[[Object], list[Any]]


@dataclass(frozen=True, slots=True)
class Layout:
    columns: Sequence[Column]
    row: Row


_PLAIN = Layout(columns("Name", "Created At:date"), others.plain)

_BUILT_IN: Mapping[str, Layout] = {
    key: Layout(*layout)
    for key, layout in {
        "pods": workloads.PODS,
        "deployments.apps": workloads.DEPLOYMENTS,
        "replicasets.apps": workloads.REPLICA_SETS,
        "horizontalpodautoscalers.autoscaling": workloads.AUTOSCALERS,
        "poddisruptionbudgets.policy": workloads.DISRUPTION_BUDGETS,
        "services": network.SERVICES,
        "endpoints": network.ENDPOINTS,
        "endpointslices.discovery.k8s.io": network.ENDPOINT_SLICES,
        "nodes": others.NODES,
        "namespaces": others.NAMESPACES,
        "events": others.EVENTS,
        "configmaps": others.CONFIG_MAPS,
        "secrets": others.SECRETS,
        "serviceaccounts": others.SERVICE_ACCOUNTS,
        "leases.coordination.k8s.io": others.LEASES,
        "rolebindings.rbac.authorization.k8s.io": others.ROLE_BINDINGS,
        "clusterrolebindings.rbac.authorization.k8s.io": others.ROLE_BINDINGS,
        "mutatingwebhookconfigurations.admissionregistration.k8s.io": others.WEBHOOKS,
        "validatingwebhookconfigurations.admissionregistration.k8s.io": others.WEBHOOKS,
    }.items()
}


def layout_of(resource: Resource, crd: Object | None) -> Layout:
    if crd is not None:
        return Layout(*custom.layout(crd, resource.version))
    return _BUILT_IN.get("events" if resource.kind == "Event" else resource.key, _PLAIN)


def table(
    layout: Layout, objects: Sequence[Object], include: IncludeObject, *, metadata: Object, version: str = "v1"
) -> Object:
    """A meta.k8s.io Table; `metadata` is the list's."""
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in layout.columns],
        "rows": [_row(layout, obj, include, version) for obj in objects],
    }


def _row(layout: Layout, obj: Object, include: IncludeObject, version: str) -> Object:
    row: Object = {"cells": layout.row(obj)}
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": obj["metadata"],
        }
    return row
