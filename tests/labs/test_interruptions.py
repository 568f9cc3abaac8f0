"""A run that is killed, interrupted or met by another one: the next one converges, and nothing is there twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.kit.workshop import HANGS, Workshop, until

CONVERGED = 13
LEASES = "kubectl get leases -n workshop-system -o name"
LOCK = "lease.coordination.k8s.io/workshop-lock"


def test_only_refuses_and_names_what_to_run(workshop: Workshop) -> None:
    """The first one: on an empty cluster."""
    ran = workshop.run("lab.istio.gateway", "--only")
    assert ran.status == 2
    assert "invoke lab.istio.bookinfo" in ran.said


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_killed_after_any_step_the_same_command_converges(workshop: Workshop, steps: int) -> None:
    """Killed as soon as some more steps are done, while the next one is under way, until one comes to its end."""
    workshop.converge("lab.istio.cleanup")
    kills = 0
    for _ in range(2 * CONVERGED):
        process = workshop.start("lab.istio.canary")
        until(process, rf"(?s)(✓ changed .*){{{steps}}}")
        finished = process.poll() is not None
        process.kill()
        process.communicate()
        if finished:
            break
        kills += 1
        if kills == 1:
            assert LOCK in workshop.by_hand(LEASES)
    assert kills >= 8 // steps
    workshop.converge("lab.istio.canary")
    assert set(workshop.converge("lab.istio.canary").outcomes) == {"unchanged"}
    pods = json.loads(workshop.by_hand("kubectl get pods -n bookinfo -o json"))["items"]
    assert sorted(pod["metadata"]["labels"]["app"] for pod in pods) == [
        "details",
        "productpage",
        *["ratings"],
        *["reviews"] * 3,
    ]
    sets = json.loads(workshop.by_hand("kubectl get replicasets -A -o json"))["items"]
    assert len(sets) == 8


def test_the_lock_of_a_killed_run_is_gone_after_the_next_change(workshop: Workshop) -> None:
    assert workshop.converge("lab.istio.canary", "--to", "v1").titled("changed")
    assert LOCK not in workshop.by_hand(LEASES)


def test_ctrl_c_stops_at_a_safe_point_and_says_how_to_go_on(workshop: Workshop) -> None:
    workshop.converge("lab.istio.canary", "--to", "v1")
    process = workshop.start("lab.istio.canary")
    until(process, r"istio\.canary")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=HANGS)[0]
    assert process.returncode == 130, said
    assert "invoke lab.istio.canary" in said
    again = workshop.converge("lab.istio.canary", "--to", "half", "--verify")
    assert again.outcomes[-1] in ("changed", "unchanged")


def test_a_second_run_is_refused_while_the_first_one_holds_the_lock(workshop: Workshop) -> None:
    workshop.converge("lab.istio.canary", "--to", "v1")
    first = workshop.start("lab.istio.canary")
    until(first, r"✓ changed ")
    first.send_signal(signal.SIGSTOP)
    try:
        second = workshop.run("lab.istio.canary", "--to", "v1")
    finally:
        first.send_signal(signal.SIGCONT)
        first.send_signal(signal.SIGINT)
    assert first.communicate(timeout=HANGS)
    assert second.status != 0
    assert f"process {first.pid}" in second.said


@pytest.mark.slow
def test_a_reset_keeps_others_out_to_its_end_and_once_killed_keeps_out_nobody(
    workshop: Workshop, tmp_path: Path
) -> None:
    """Others: who works on the cluster from another state folder. The reset has taken back and begins to put right:
    what it has taken back, nobody else may make meanwhile."""
    profile = tmp_path / "profile.yaml"
    profile.write_text(
        "target: cluster\nistio: {download: 'http://127.0.0.1:9'}\n"
        f"cluster: {{context: primary, kubeconfig: '{workshop.state}/sandbox/kubeconfig'}}\n"
    )
    other = Workshop(tmp_path)
    workshop.converge("lab.istio.canary", "--to", "v1")
    workshop.by_hand("kubectl delete deployment -n bookinfo details-v1")
    first = workshop.start("reset", "--to", "istio.gateway", "--no-proof")
    until(first, "part 2 of 2")
    first.send_signal(signal.SIGSTOP)
    try:
        for line in (("lab.istio.canary", "--to", "v1"), ("reset", "--to", "clean", "--yes")):
            refused = other.run("-f", str(profile), *line)
            assert refused.status == 2, refused.said
            assert f"process {first.pid}" in refused.said
    finally:
        first.kill()
    first.communicate(timeout=HANGS)
    assert LOCK in workshop.by_hand(LEASES)
    workshop.converge("reset", "--to", "istio.gateway", "--no-proof")
    assert LOCK not in workshop.by_hand(LEASES)


def test_a_dead_cluster_is_an_error_with_the_next_command(workshop: Workshop) -> None:
    profile = workshop.state / "cluster.yaml"
    config = workshop.state / "kubeconfig"
    config.write_text(
        "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "contexts: [{name: mine, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
    )
    profile.write_text(f"target: cluster\ncluster: {{context: mine, kubeconfig: {config}}}\n")
    ran = workshop.run("-f", str(profile), "lab.istio.install")
    assert ran.status == 2
    assert "this machine cannot reach it" in ran.said
    profile.write_text(f"target: cluster\ncluster: {{context: other, kubeconfig: {config}}}\n")
    ran = workshop.run("-f", str(profile), "lab.istio.install")
    assert ran.status == 2
    assert "it has mine" in ran.said
