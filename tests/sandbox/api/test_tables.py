"""Rows as `kubectl get` shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.api import tables
from sandbox.api.kinds import Registry
from sandbox.api.tables.columns import age, duration, selector
from sandbox.api.tables.json_path import JsonPath
from sandbox.core.cluster import Object
from sandbox.core.objects import timestamp

REGISTRY = Registry()


def cells(key: str, obj: Object) -> dict[str, Any]:
    """A row by its columns' names."""
    obj = {**obj, "metadata": {"name": "x", "creationTimestamp": timestamp(), **obj.get("metadata", {})}}
    layout = tables.layout_of(REGISTRY.by_key(key), None)
    return dict(zip([column.name for column in layout.columns], layout.row(obj), strict=True))


def state(what: Object, name: str = "main", *, ready: bool = False, restarts: int = 0) -> Object:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": what, "started": ready}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
ENDED = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.mark.parametrize(
    ("status", "ready", "shown"),
    [
        ({"phase": "Pending"}, "0/2", "Pending"),
        (
            {"phase": "Pending", "containerStatuses": [state({"waiting": {"reason": "ErrImagePull"}})]},
            "0/2",
            "ErrImagePull",
        ),
        ({"phase": "Running", "containerStatuses": [state(RUNNING, ready=True)]}, "1/2", "Running"),
        ({"phase": "Failed", "containerStatuses": [state({"terminated": {"exitCode": 3}})]}, "0/2", "ExitCode:3"),
        ({"phase": "Failed", "reason": "Evicted"}, "0/2", "Evicted"),
        (
            {
                "phase": "Running",
                "containerStatuses": [state(ENDED), state(RUNNING, "side", ready=True)],
                "conditions": [{"type": "Ready", "status": "False"}],
            },
            "1/2",
            "NotReady",
        ),
    ],
)
def test_pods(status: Object, ready: str, shown: str) -> None:
    pod = {"spec": {"containers": [{"name": "main"}, {"name": "side"}]}, "status": status}
    row = cells("pods", pod)
    assert (row["Ready"], row["Status"], row["Restarts"]) == (ready, shown, "0")
    assert (row["IP"], row["Node"]) == ("<none>", "<none>")


def test_pods_that_initialise() -> None:
    spec = {"containers": [{"name": "main"}], "initContainers": [{"name": "one"}, {"name": "two"}]}
    ended, running = state(ENDED, "one"), state(RUNNING, "two")
    status: Object = {"phase": "Pending", "initContainerStatuses": [ended, running]}
    assert cells("pods", {"spec": spec, "status": status})["Status"] == "Init:1/2"
    status["initContainerStatuses"][1] = state(
        {"terminated": {"exitCode": 1, "reason": "Error"}}, "two", restarts=2
    )
    row = cells("pods", {"spec": spec, "status": status})
    assert (row["Status"], row["Restarts"]) == ("Init:Error", "2")


def test_pods_with_a_sidecar_that_starts_first() -> None:
    proxy = {"name": "proxy", "restartPolicy": "Always"}
    status = {
        "phase": "Running",
        "initContainerStatuses": [state(RUNNING, "proxy", ready=True)],
        "containerStatuses": [state(RUNNING, ready=True)],
    }
    pod = {"spec": {"containers": [{"name": "main"}], "initContainers": [proxy]}, "status": status}
    assert cells("pods", pod)["Ready"] == "2/2"


def test_pods_that_were_restarted_or_go() -> None:
    restarted = state(RUNNING, ready=True, restarts=3)
    finished = timestamp(datetime.now(UTC) - timedelta(minutes=5))
    restarted["lastState"] = {"terminated": {"finishedAt": finished}}
    pod = {"spec": {"containers": [{}]}, "status": {"phase": "Running", "containerStatuses": [restarted]}}
    assert cells("pods", pod)["Restarts"].startswith("3 (5m")
    assert cells("pods", {**pod, "metadata": {"deletionTimestamp": timestamp()}})["Status"] == "Terminating"


@pytest.mark.parametrize(
    ("spec", "status", "external"),
    [
        ({"type": "ClusterIP"}, {}, "<none>"),
        ({"type": "LoadBalancer"}, {}, "<pending>"),
        ({"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "127.9.1.1"}]}}, "127.9.1.1"),
        ({"type": "ExternalName", "externalName": "example.org"}, {}, "example.org"),
        ({"type": "ClusterIP", "externalIPs": ["10.0.0.1"]}, {}, "10.0.0.1"),
    ],
)
def test_services(spec: Object, status: Object, external: str) -> None:
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    row = cells("services", {"spec": {**spec, "ports": ports}, "status": status})
    assert (row["External-IP"], row["Port(s)"]) == (external, "80:30080/TCP,53/UDP")


def test_endpoints_are_shortened() -> None:
    addresses = [{"ip": f"10.0.0.{number}"} for number in range(5)]
    row = cells("endpoints", {"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]})
    assert row["Endpoints"] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert cells("endpoints", {})["Endpoints"] == "<none>"


def test_nodes() -> None:
    node = {
        "metadata": {"labels": {"node-role.kubernetes.io/agent": ""}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "127.9.0.10"}],
            "nodeInfo": {"kubeletVersion": "v1.36.1"},
        },
    }
    row = cells("nodes", node)
    assert row["Status"] == "Ready,SchedulingDisabled"
    assert (row["Roles"], row["Version"], row["Internal-IP"]) == ("agent", "v1.36.1", "127.9.0.10")
    assert cells("nodes", {"status": {}})["Status"] == "Unknown"


def test_autoscalers_without_metrics() -> None:
    target = {"type": "Utilization", "averageUtilization": 80}
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 5,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    row = cells("horizontalpodautoscalers.autoscaling", {"spec": spec})
    assert (row["Reference"], row["Targets"]) == ("Deployment/web", "cpu: <unknown>/80%")


def test_events_of_both_groups() -> None:
    core = {
        "involvedObject": {"kind": "Pod", "name": "p"},
        "message": "text",
        "source": {"component": "kubelet"},
        "count": 3,
    }
    new = {"regarding": {"kind": "Pod", "name": "p"}, "note": "text", "reportingController": "kubelet"}
    for key, event, count in (("events", core, 3), ("events.events.k8s.io", new, 1)):
        row = cells(key, event)
        assert (row["Object"], row["Message"], row["Source"], row["Count"]) == ("pod/p", "text", "kubelet", count)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (28800 - 60, "7h59m"),
        (28800, "8h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y70d"),
        (-1, "0s"),
        (-10, "<invalid>"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_ages() -> None:
    assert age(None) == "<unknown>"
    assert age(timestamp()) in ("0s", "1s")


def test_selectors() -> None:
    assert selector({"b": "2", "a": "1"}) == "a=1,b=2"
    expressions = [{"key": "tier", "operator": "NotIn", "values": ["x", "w"]}, {"key": "y", "operator": "Exists"}]
    assert selector({"matchLabels": {"a": "1"}, "matchExpressions": expressions}) == "a=1,tier notin (w,x),y"
    assert selector({}) == "<none>"


VALUE = {
    "spec": {"hosts": ["a", "b"], "it.s": 1},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.hosts", [["a", "b"]]),
        (".spec.hosts[0]", ["a"]),
        (".spec.hosts[-1]", ["b"]),
        (".spec.hosts[*]", ["a", "b"]),
        (".spec['it.s']", [1]),
        (".spec.it\\.s", [1]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        ('.status.conditions[?(@.type!="Ready")].type', ["Old"]),
        (".spec.nothing.at.all", []),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    assert JsonPath(path).find(VALUE) == found


def test_json_paths_that_are_not_known() -> None:
    with pytest.raises(ValueError, match="unsupported JSONPath"):
        JsonPath(".spec..hosts")
