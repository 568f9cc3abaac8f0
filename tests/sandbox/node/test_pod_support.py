"""What is not supported in a pod is refused with its path, when it is written."""

from __future__ import annotations

import pytest

from sandbox.core.cluster import ApiError, Object
from tests.sandbox.node.conftest import NAMESPACE, Place, container

REFUSED: list[tuple[Object, Object, str]] = [
    ({"hostNetwork": True}, {}, "hostNetwork"),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, {}, "volumes[0].hostPath"),
    (
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]},
        {},
        "volumes[0].persistentVolumeClaim",
    ),
    ({}, {"livenessProbe": {"grpc": {"port": 1}}}, "containers[0].livenessProbe.grpc"),
    (
        {},
        {"readinessProbe": {"httpGet": {"port": 1, "scheme": "HTTPS"}}},
        "containers[0].readinessProbe.httpGet.scheme",
    ),
    ({}, {"lifecycle": {"preStop": {"httpGet": {"port": 80}}}}, "containers[0].lifecycle.preStop.httpGet"),
    ({}, {"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}}, "containers[0].lifecycle.postStart"),
    ({}, {"restartPolicy": "Always"}, "containers[0].restartPolicy"),
    (
        {"initContainers": [{**container("busybox"), "name": "i", "restartPolicy": "OnFailure"}]},
        {},
        "initContainers[0].restartPolicy",
    ),
    (
        {
            "initContainers": [
                {"name": "i", "image": "busybox", "restartPolicy": "Always", "restartPolicyRules": [{}]}
            ]
        },
        {},
        "initContainers[0].restartPolicyRules",
    ),
    ({}, {"ports": [{"containerPort": 1, "hostPort": 2}]}, "containers[0].ports[0].hostPort"),
]


@pytest.mark.parametrize(("spec", "fields", "path"), REFUSED)
async def test_a_pod_is_refused(place: Place, spec: Object, fields: Object, path: str) -> None:
    with pytest.raises(ApiError) as refusal:
        place.start("web", container("podinfo", **fields), **spec)
    assert refusal.value.message == f'pods "web" is forbidden: spec.{path}: not supported by the sandbox'
    assert refusal.value.code == 403


async def test_a_deployment_is_refused_for_its_template(place: Place) -> None:
    template = {
        "metadata": {"labels": {"app": "w"}},
        "spec": {"hostIPC": True, "containers": [container("podinfo")]},
    }
    deployment = {
        "metadata": {"name": "w", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"app": "w"}}, "template": template},
    }
    with pytest.raises(ApiError, match=r"spec\.template\.spec\.hostIPC: not supported by the sandbox"):
        place.cluster.create("deployments.apps", deployment, manager="test")
