from __future__ import annotations

from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object

from .conftest import World
from .test_service_addresses import service

REQUIRED = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "labelSelector": {}}]}
NODE_TERM = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-0"]}]}
NODES = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [NODE_TERM]}}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"type": "ExternalName", "externalName": "example.com"}, "spec.type: ExternalName"),
        ({"sessionAffinity": "ClientIP"}, "spec.sessionAffinity: ClientIP"),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, "spec.externalTrafficPolicy: Local"),
        ({"internalTrafficPolicy": "Local"}, "spec.internalTrafficPolicy: Local"),
        ({"externalIPs": ["127.0.0.9"]}, "spec.externalIPs"),
        ({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}, "spec.loadBalancerSourceRanges"),
        ({"ports": [{"port": 53, "protocol": "UDP"}]}, "spec.ports[0].protocol: UDP"),
    ],
)
async def test_what_services_cannot_do_is_refused(world: World, spec: dict[str, Any], path: str) -> None:
    with pytest.raises(ApiError) as caught:
        world.create("services", service(**spec))
    assert caught.value.message == f'services "web" is forbidden: {path}: not supported by the sandbox'


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            {"affinity": {"nodeAffinity": NODES}},
            "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        ),
        (
            {"affinity": {"podAffinity": REQUIRED}},
            "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        ),
        (
            {"affinity": {"podAntiAffinity": REQUIRED}},
            "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        ),
        ({"topologySpreadConstraints": [SPREAD]}, "topologySpreadConstraints[0].whenUnsatisfiable: DoNotSchedule"),
    ],
)
async def test_what_the_scheduler_cannot_do_is_refused(world: World, spec: dict[str, Any], path: str) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }
    with pytest.raises(ApiError, match="not supported by the sandbox") as caught:
        world.deploy(template=template)
    assert f"spec.template.spec.{path}:" in caught.value.message


async def test_taints_are_refused(world: World) -> None:
    taint = {"key": "team", "effect": "NoSchedule"}

    def spoil(node: Object) -> None:
        node["spec"] = {"taints": [taint]}

    with pytest.raises(ApiError) as caught:
        world.cluster.edit("nodes", None, "node-0", spoil, manager="test")
    assert "spec.taints (cordon does what a taint would): not supported by the sandbox" in caught.value.message


async def test_endpoints_written_by_hand_are_refused(world: World) -> None:
    world.create("services", service(selector=None))
    subset = {"addresses": [{"ip": "127.64.16.99"}], "ports": [{"name": "http", "port": 8080}]}
    with pytest.raises(ApiError, match="an EndpointSlice can say them"):
        world.create("endpoints", {"metadata": {"name": "web", "namespace": "default"}, "subsets": [subset]})
