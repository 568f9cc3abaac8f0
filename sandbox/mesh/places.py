"""Where workloads are: a region, a zone and a subzone.

A pod is where its node's labels say, unless its own label says it; an endpoint of a ServiceEntry where its
`locality` says. As with istiod, this becomes labels of the endpoint, by which subsets and `failoverPriority` may
choose.
"""

from __future__ import annotations

from collections.abc import Mapping

LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")
_HOSTNAME = "kubernetes.io/hostname"
_OF_POD = ("topology.istio.io/locality", "istio-locality")
"""A pod's labels that say where it is, `region.zone.subzone`."""

Labels = Mapping[str, str]
Place = tuple[str, str, str]


def place(labels: Labels) -> Place:
    region, zone, subzone = (labels.get(label, "") for label in LABELS)
    return region, zone, subzone


def labels_of_pod(pod: Labels, node: str, of_node: Labels) -> Labels:
    """A pod's, and where it is: on a node of this name and with these labels."""
    said = next((pod[label] for label in _OF_POD if label in pod), "")
    where = labels_of(said if "/" in said else said.replace(".", "/"))
    where = where or {label: of_node[label] for label in LABELS if of_node.get(label)}
    return {**pod, **where, **({_HOSTNAME: node} if node else {})}


def labels_of(locality: str) -> Labels:
    """A place written as `region/zone/subzone`, of which the end may be missing, as labels."""
    return {label: part for label, part in zip(LABELS, _parts(locality), strict=True) if part}


def matches(where: Place, pattern: str) -> bool:
    """`*` stands for any region, zone or subzone; a zone or subzone that is left out may be any."""
    region, zone, subzone = _parts(pattern)
    return region in ("*", where[0]) and zone in ("*", "", where[1]) and subzone in ("*", "", where[2])


def _parts(locality: str) -> Place:
    region, zone, subzone, *_ = (*locality.split("/"), "", "")
    return region, zone, subzone
