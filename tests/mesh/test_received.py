"""What a person types to see mirrored requests."""

from __future__ import annotations

from pathlib import Path

from tests.kubernetes.runs import Recorded
from workshop.kubernetes.elsewhere import Other, Others
from workshop.kubernetes.guard import ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.received import Mirrored, Receiver
from workshop.traffic.probe import Category

V1, V2 = Category("v1", "v1"), Category("v2", "v2")


def typed(cluster: str) -> tuple[str, ...]:
    guard = ClusterGuard(Kubectl(Path("kubectl"), Path("kubeconfig"), "blue", Path("cache")), "blue")
    run = Recorded(Others({"secondary": Other("blue", {}, guard)}))
    receiver = Receiver("v2", "apps", "version=v2", "app", cluster)
    return Mirrored("/hello", V1, V2, receiver, 0.5, (("Host", "a.example.com"),)).commands(run)


def test_the_log_is_read_in_the_cluster_that_gets_the_copies() -> None:
    logs = "logs -n apps -l version=v2 -c app --tail=10"
    assert typed("")[-1] == f"kubectl {logs}"
    assert typed("secondary")[-1] == f"kubectl --context blue {logs}"


def test_requests_are_sent_to_this_cluster_whose_address_is_read() -> None:
    *address, send, _ = typed("secondary")
    assert address[-1] == "GATEWAY_URL=$INGRESS_HOST:$INGRESS_PORT"
    assert not any("--context" in command for command in address)
    assert send == "curl -s -H 'Host: a.example.com' \"http://$GATEWAY_URL/hello?probe=$RANDOM\""
