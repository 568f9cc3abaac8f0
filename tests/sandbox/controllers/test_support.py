from __future__ import annotations

from typing import Any

import pytest

from sandbox.core.cluster import ApiError

from .conftest import World
from .test_services import service

TERM = {"topologyKey": "zone", "labelSelector": {}, "namespaceSelector": {}}
REQUIRED = {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}
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
            {"affinity": {"podAntiAffinity": REQUIRED}},
            "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespaceSelector",
        ),
        ({"topologySpreadConstraints": [{**SPREAD, "minDomains": 2}]}, "topologySpreadConstraints[0].minDomains"),
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
