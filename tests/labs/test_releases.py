"""The labs that move an application: into the mesh, from one user to all, from blue to green and back. The tests go
on from one another. What these labs say on their way is seen in test_lab.py, in the one run that has all of it."""

from __future__ import annotations

import json
import re

import pytest

from tests.kit.in_process import bring_all, converge_here, kubectl_here, run_here
from tests.kit.workshop import Workshop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def there(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    bring_all(workshop, "istio.adopt", "istio.canary", "istio.blue-green")
    return workshop


def test_a_label_taken_away_by_hand_is_put_back(there: Workshop) -> None:
    kubectl_here(there, "label namespace ratingsapp istio-injection-")
    ran = converge_here(there, "istio.adopt")
    assert ran.titled("changed") == ["Label its namespace"]


def test_back_to_blue(there: Workshop) -> None:
    back = converge_here(there, "istio.blue-green", to="blue")
    assert back.titled("changed") == ["All requests to blue"]
    assert "100.0 %" in back.said


def test_another_user_and_back_by_undoing(there: Workshop) -> None:
    ran = converge_here(there, "istio.identity", options={"user": "mary"})
    assert "logged in as mary" in ran.said
    assert "off the path" in converge_here(there, "istio.identity", plan=True).said
    assert converge_here(there, "istio.identity").titled("changed") == [
        "One user gets reviews v2, everybody else v3"
    ]
    converge_here(there, "istio.identity", to="v3")
    live = json.loads(kubectl_here(there, "-n bookinfo get virtualservice reviews -o json"))
    assert live["metadata"]["labels"]["workshop/lab"] == "istio.canary"
    assert live["spec"]["http"] == [
        {"route": [{"destination": {"host": "reviews", "subset": "v3"}, "weight": 100}]}
    ]


def test_no_user_is_refused(there: Workshop) -> None:
    ran = there.run("lab.istio.identity", "--user", "a b")
    assert ran.status == 2
    assert "letters, digits" in ran.said


def test_who_everybody_else_is_compared_with_cannot_be_the_user(there: Workshop) -> None:
    ran = run_here(there, "istio.identity", options={"user": "somebody-else"})
    assert ran.status == 2
    assert "compared with" in ran.said


# What `--explain` says to type instead.


def typed(workshop: Workshop, lab: str) -> str:
    """What it prints. Where a hundred requests are counted, a few do: each is a curl of its own."""
    script = workshop.to_type(lab)
    assert "$(seq 100)" in script
    return workshop.by_hand(script.replace("$(seq 100)", "$(seq 25)"))


def converged(workshop: Workshop, lab: str) -> bool:
    return "a run would change nothing" in converge_here(workshop, lab, plan=True).said


def test_one_user_is_seen_to_get_another_version_by_what_is_typed(there: Workshop) -> None:
    counted = re.findall(r'^ *(\d+) color="(\w+)"$', typed(there, "lab.istio.identity"), re.M)
    assert counted == [("25", "black"), ("25", "red"), ("25", "red")]
    assert converged(there, "istio.identity")


def test_a_superseded_lab_counts_as_converged_and_begins_again_by_its_own_name(there: Workshop) -> None:
    planned = converge_here(there, "istio.canary", plan=True).said
    assert "All requests to v1" in planned
    assert "5 labs it needs have converged" in converge_here(there, "istio.identity").said
    assert "superseded by istio.identity" in converge_here(there, "istio", plan=True).said


def test_a_lab_and_what_needs_it_are_taken_back(there: Workshop) -> None:
    converge_here(there, "istio.adopt", undo=True)
    there.converge("lab.istio.canary", "--undo")
    left = kubectl_here(there, "get namespaces,virtualservices,destinationrules,deployments -A -o name")
    assert "ratingsapp" not in left
    assert "reviews" not in re.sub(r"deployment.apps/reviews-v\d", "", left)
    assert "deployment.apps/reviews-v1" in left
    assert set(converge_here(there, "istio.canary", undo=True).outcomes) == {"unchanged"}


def test_workloads_get_their_sidecars_by_what_is_typed(there: Workshop) -> None:
    pods = re.findall(r"^ratings-\S+ +(\d/\d) +Running", there.explained("lab.istio.adopt"), re.M)
    assert pods[:3] == ["1/1"] * 3
    assert pods.count("2/2") == 3
    assert converged(there, "istio.adopt")


def test_traffic_is_shifted_by_what_is_typed_and_counted(there: Workshop) -> None:
    assert "GATEWAY_URL" not in there.environment
    counted = re.findall(r"^ *(\d+) version: (v\d)$", typed(there, "lab.istio.shift"), re.M)
    assert counted[0] == ("25", "v1")
    assert {version for _, version in counted[1:-1]} == {"v1", "v2"}
    assert counted[-1] == ("25", "v2")
    assert converged(there, "istio.shift")


def test_the_address_of_the_other_cluster_is_filled_in_by_what_is_typed(there: Workshop) -> None:
    there.by_hand("istioctl --context secondary install -y --set profile=default")
    there.explained("lab.istio.mirror", "--step", "4")
    ingress = "--context secondary -n istio-system get service istio-ingressgateway"
    entry = "-n primary get serviceentry helloworld-secondary"
    said = there.by_hand(
        f"kubectl {ingress} -o jsonpath='{{.status.loadBalancer.ingress[0].ip}} '\n"
        f"kubectl {entry} -o jsonpath='{{.spec.endpoints[0].address}}'"
    )
    service, address = said.split()
    assert address == service
