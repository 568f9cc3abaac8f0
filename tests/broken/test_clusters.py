"""Clusters that somebody has broken with kubectl: what is found and said, and that a run repairs or removes it.

Each test is named after what was done. Through `invoke`, on a sandbox that the tests share: they go on from one
another.
"""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from labs import RUNBOOK
from tests.kit.in_process import bring_to_its_end, run_of
from tests.kit.workshop import Workshop

INSTALL = ["Check the cluster and install Istio"]


@pytest.fixture(scope="module")
def before(workshop: Workshop) -> dict[str, object]:
    """What the empty cluster has."""
    workshop.converge("sandbox.up")
    return workshop.dump()


@pytest.fixture(scope="module")
def routed(workshop: Workshop, before: dict[str, object]) -> Workshop:
    """With two labs that move one object: taken back, the second one goes back to the first one's last stage.
    What is measured on the way there is not the subject here."""
    for name in ("install", "inject", "bookinfo", "gateway", "canary", "identity"):
        lab = RUNBOOK.lab(f"istio.{name}")
        asyncio.run(bring_to_its_end(lab, run_of(workshop, lab)))
    return workshop


def injectors(workshop: Workshop) -> list[str]:
    said = workshop.by_hand("kubectl get mutatingwebhookconfigurations -o name")
    return [line.partition("/")[2] for line in said.splitlines() if "mutatingwebhook" in line]


def test_the_injector_s_webhooks_deleted(routed: Workshop) -> None:
    gone = injectors(routed)
    assert gone
    routed.by_hand(f"kubectl delete mutatingwebhookconfigurations {' '.join(gone)}")
    found = routed.converge("doctor").unfolded
    assert "warn Istio the workshop's, and not as it was installed: MutatingWebhookConfiguration" in found
    assert "invoke lab.istio.install" in found
    planned = routed.converge("lab.istio.identity", "--plan").said
    assert sorted(re.findall(r"\+ MutatingWebhookConfiguration (\S+)", planned)) == sorted(gone)
    assert routed.converge("lab.istio.identity").titled("changed") == INSTALL
    assert sorted(injectors(routed)) == sorted(gone)
    assert set(routed.converge("lab.istio.identity").outcomes) == {"unchanged"}
    assert "ok Istio 1.31.1, the workshop's, and all of it is there" in routed.converge("doctor").unfolded


def test_the_services_of_istio_deleted(routed: Workshop) -> None:
    services = ("istiod", "istio-ingressgateway")
    routed.by_hand(f"kubectl delete services {' '.join(services)} -n istio-system")
    planned = routed.converge("lab.istio.identity", "--plan").said
    assert [name for name in services if f"Service istio-system/{name}" not in planned] == []
    assert routed.converge("lab.istio.install").titled("changed") == INSTALL
    assert set(routed.converge("lab.istio.identity").outcomes) == {"unchanged"}


def test_istiod_scaled_to_0(routed: Workshop) -> None:
    """istioctl leaves the number of pods alone: an autoscaler decides it, and none scales what is at 0."""
    routed.by_hand("kubectl -n istio-system scale deployment/istiod --replicas=0")
    assert "and not as it was installed" in routed.converge("doctor").unfolded
    planned = routed.converge("lab.istio.install", "--plan").said
    assert re.search(r"~ Deployment istio-system/istiod\s+spec.replicas +0 \S+ at least 1", planned)
    assert routed.converge("lab.istio.install").titled("changed") == INSTALL
    assert set(routed.converge("lab.istio.install").outcomes) == {"unchanged"}


@pytest.fixture
def without_namespace(routed: Workshop) -> Workshop:
    routed.by_hand("kubectl delete namespace istio-system")
    left = routed.by_hand("kubectl get crds,clusterroles,mutatingwebhookconfigurations -o name")
    assert "istio" in left
    return routed


def test_istio_system_deleted_then_install(without_namespace: Workshop) -> None:
    found = without_namespace.converge("doctor").unfolded
    assert "warn Istio namespace istio-system is gone, and" in found
    assert "invoke lab.istio.cleanup" in found
    assert without_namespace.converge("lab.istio.install").titled("changed") == INSTALL
    assert set(without_namespace.converge("lab.istio.install").outcomes) == {"unchanged"}


def test_istio_system_deleted_then_clean_up(without_namespace: Workshop, before: dict[str, object]) -> None:
    ran = without_namespace.converge("lab.istio.cleanup")
    assert "Uninstall Istio and delete istio-system" in ran.titled("changed")
    assert " CustomResourceDefinition" in ran.unfolded.split("removing from sandbox:")[1].split("changed")[0]
    assert without_namespace.dump() == before
    assert set(without_namespace.converge("lab.istio.cleanup").outcomes) == {"unchanged"}


def test_two_nodes_of_three_are_cordoned(workshop: Workshop, before: dict[str, object]) -> None:
    """One node with two CPUs is left: with the chart's requests (500m and 2Gi for istiod, 100m and 128Mi for each
    proxy, shared/real/objects/istio-system-workloads.yaml) not all labs fit. On all three they do."""
    assert "ok room all labs together ask for 2.50 CPUs and 4.5 GiB" in workshop.converge("doctor").unfolded
    nodes = [
        node["metadata"]["name"] for node in json.loads(workshop.by_hand("kubectl get nodes -o json"))["items"]
    ]
    workshop.by_hand(f"kubectl cordon {' '.join(nodes[1:])}")
    found = workshop.converge("doctor").unfolded
    assert "warn room all labs together ask for 2.50 CPUs and 4.5 GiB; 2.00 CPUs and" in found
    assert "5 of 20 pods would find no node, 0.50 CPUs and 0.6 GiB more are needed" in found
    assert "describe nodes" in found
    workshop.by_hand(f"kubectl uncordon {' '.join(nodes[1:])}")
