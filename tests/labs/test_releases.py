"""The labs that move an application: into the mesh, from one user to all, from blue to green and back."""

from __future__ import annotations

import json
import re

import pytest

from tests.labs.conftest import Workshop


@pytest.fixture(scope="module")
def adopted(workshop: Workshop) -> str:
    return workshop.converge("lab.istio.adopt").said


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("IST0102", "it was found at Namespace ratingsapp"),
        ("IST0118", "it was found at Service ratingsapp/ratings-api, Service ratingsapp/ratings-web"),
        ("IST0103", "it was found at Pod ratingsapp/ratings-api-"),
    ],
)
def test_each_finding_is_there_and_then_gone(adopted: str, code: str, step: str) -> None:
    said = re.sub(r"\s+", " ", adopted)
    assert f"{code} is gone: {step}" in said
    after = said[said.index(f"{code} is gone") :]
    assert f"[{code}]" not in after


def test_pods_go_from_one_container_to_two(workshop: Workshop, adopted: str) -> None:
    pods = re.findall(r"^ +ratings-\S+-\S+-\S+ +(\d/\d) +Running", adopted, re.M)
    assert pods == ["1/1"] * 3 + ["2/2"] * 3
    # The proof's table: pod, containers, sidecars (shared/real/objects/pod-ratings.yaml has this shape).
    shown = re.findall(r"^ +ratings-(\w+)-\S+ +(\S+) +istio-proxy$", adopted, re.M)
    assert shown == [("api", "api"), ("mongodb", "mongodb"), ("web", "web")]
    assert set(workshop.converge("lab.istio.adopt").outcomes) == {"unchanged"}


def test_a_label_taken_away_by_hand_is_put_back(workshop: Workshop, adopted: str) -> None:
    workshop.by_hand("kubectl label namespace ratingsapp istio-injection-")
    ran = workshop.converge("lab.istio.adopt")
    assert ran.titled("changed") == ["Label its namespace"]


def test_blue_to_green_and_back(workshop: Workshop) -> None:
    ran = workshop.converge("lab.istio.blue-green")
    shares = [float(share) for share in re.findall(r"green\s+\S+\s+([\d.]+) %", ran.said)]
    assert (shares[0], shares[2]) == (0, 100)
    assert 40 < shares[1] < 60
    back = workshop.converge("lab.istio.blue-green", "--to", "blue")
    assert back.titled("changed") == ["All requests to blue"]
    assert "100.0 %" in back.said


def test_another_user_and_back_by_undoing(workshop: Workshop) -> None:
    ran = workshop.converge("lab.istio.identity", "--user", "mary")
    assert "logged in as mary" in ran.said
    assert "off the path" in workshop.converge("lab.istio.identity", "--plan").said
    assert workshop.converge("lab.istio.identity").titled("changed") == [
        "One user gets reviews v2, everybody else v3"
    ]
    workshop.converge("lab.istio.identity", "--to", "v3")
    live = json.loads(workshop.by_hand("kubectl -n bookinfo get virtualservice reviews -o json"))
    assert live["metadata"]["labels"]["workshop/lab"] == "istio.canary"
    assert live["spec"]["http"] == [
        {"route": [{"destination": {"host": "reviews", "subset": "v3"}, "weight": 100}]}
    ]


def test_no_user_is_refused(workshop: Workshop) -> None:
    ran = workshop.run("lab.istio.identity", "--user", "a b")
    assert ran.status == 2
    assert "letters, digits" in ran.said


def test_a_superseded_lab_counts_as_converged_and_begins_again_by_its_own_name(workshop: Workshop) -> None:
    workshop.converge("lab.istio.identity")
    planned = workshop.converge("lab.istio.canary", "--plan").said
    assert "All requests to v1" in planned
    assert "5 labs it needs have converged" in workshop.converge("lab.istio.identity").said
    assert "superseded by istio.identity" in workshop.converge("lab.istio", "--plan").said


def test_who_everybody_else_is_compared_with_cannot_be_the_user(workshop: Workshop) -> None:
    ran = workshop.run("lab.istio.identity", "--user", "somebody-else")
    assert ran.status == 2
    assert "compared with" in ran.said


def test_a_lab_and_what_needs_it_are_taken_back(workshop: Workshop, adopted: str) -> None:
    workshop.converge("lab.istio.identity")
    workshop.converge("lab.istio.adopt", "--undo")
    workshop.converge("lab.istio.canary", "--undo")
    left = workshop.by_hand("kubectl get namespaces,virtualservices,destinationrules,deployments -A -o name")
    assert "ratingsapp" not in left
    assert "reviews" not in re.sub(r"deployment.apps/reviews-v\d", "", left)
    assert "deployment.apps/reviews-v1" in left
    assert set(workshop.converge("lab.istio.canary", "--undo").outcomes) == {"unchanged"}


# What `--explain` says to type instead.


def converged(workshop: Workshop, lab: str) -> bool:
    return "a run would change nothing" in workshop.converge(lab, "--plan").said


def test_workloads_get_their_sidecars_by_what_is_typed(workshop: Workshop, adopted: str) -> None:
    workshop.converge("lab.istio.adopt", "--undo")
    pods = re.findall(r"^ratings-\S+ +(\d/\d) +Running", workshop.explained("lab.istio.adopt"), re.M)
    assert pods[:3] == ["1/1"] * 3
    assert pods.count("2/2") == 3
    assert converged(workshop, "lab.istio.adopt")


def test_traffic_is_shifted_by_what_is_typed_and_counted(workshop: Workshop) -> None:
    assert "GATEWAY_URL" not in workshop.environment
    workshop.converge("lab.istio.inject")
    counted = re.findall(r"^ *(\d+) version: (v\d)$", workshop.explained("lab.istio.shift"), re.M)
    assert counted[0] == ("100", "v1")
    assert {version for _, version in counted[1:-1]} == {"v1", "v2"}
    assert counted[-1] == ("100", "v2")
    assert converged(workshop, "lab.istio.shift")


def test_one_user_is_seen_to_get_another_version_by_what_is_typed(workshop: Workshop) -> None:
    workshop.converge("lab.istio.identity", "--to", "v3")
    counted = re.findall(r'^ *(\d+) color="(\w+)"$', workshop.explained("lab.istio.identity"), re.M)
    assert counted == [("100", "black"), ("100", "red"), ("100", "red")]
    assert converged(workshop, "lab.istio.identity")


def test_the_address_of_the_other_cluster_is_filled_in_by_what_is_typed(workshop: Workshop) -> None:
    workshop.converge("lab.istio.inject")
    workshop.by_hand("istioctl --context secondary install -y --set profile=default")
    workshop.explained("lab.istio.mirror", "--step", "4")
    ingress = "--context secondary -n istio-system get service istio-ingressgateway"
    service = workshop.by_hand(f"kubectl {ingress} -o jsonpath='{{.status.loadBalancer.ingress[0].ip}}'")
    entry = "-n primary get serviceentry helloworld-secondary"
    assert workshop.by_hand(f"kubectl {entry} -o jsonpath='{{.spec.endpoints[0].address}}'") == service != ""
