"""The main job: from an empty cluster to a measured canary release, and back. The tests go on from one another, as
an attendee does."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from tests.kit.in_process import converge_here, here
from tests.kit.workshop import Workshop
from workshop import record_tasks

CANARY = ["All requests to v1", "A third to each of v1, v2 and v3", "Half to v1, half to v3", "All requests to v3"]
VIRTUAL_SERVICE = "kubectl -n bookinfo get virtualservice reviews -o json"


@pytest.fixture(scope="module")
def before(workshop: Workshop) -> dict[str, object]:
    """What the empty cluster has."""
    workshop.converge("sandbox.up")
    return workshop.dump()


@pytest.fixture(scope="module")
def released(workshop: Workshop, before: dict[str, object]) -> str:
    """What `invoke lab.istio.canary` said on the empty cluster."""
    ran = workshop.converge("lab.istio.canary")
    assert set(ran.outcomes) == {"changed"}, ran.said
    return ran.said


def test_from_nothing_every_step_is_changed_and_four_splits_are_measured(released: str) -> None:
    assert released.count("Stars on the product page  ") == 4
    shares = [float(share) for share in re.findall(r"v3, red stars\s+\S+\s+([\d.]+) %", released)]
    assert shares[0] == 0
    assert 25 < shares[1] < 43
    assert 40 < shares[2] < 60
    assert shares[3] == 100


def test_the_tutorials_commands_find_the_address_the_lab_tells(workshop: Workshop, released: str) -> None:
    said = workshop.by_hand(
        """service="kubectl -n istio-system get service istio-ingressgateway"
        INGRESS_HOST=$($service -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
        INGRESS_PORT=$($service -o jsonpath='{.spec.ports[?(@.name=="http2")].port}')
        echo $INGRESS_HOST:$INGRESS_PORT
        """
    )
    address = said.split()[-1]
    assert address.endswith(":8080")
    assert f"http://{address}/productpage is open\n      GATEWAY_URL is {address}\n" in released
    with urllib.request.urlopen(f"http://{address}/productpage", timeout=60) as page:
        assert b"<title>Simple Bookstore App</title>" in page.read()


def test_a_second_run_is_all_unchanged_with_few_kubectl_processes(workshop: Workshop, released: str) -> None:
    ran = workshop.converge("--echo", "lab.istio.canary")
    assert set(ran.outcomes) == {"unchanged"}
    assert (
        len(re.findall(r"^ *(?:istio\.\S+  )?\$ \S*kubectl", ran.said, re.M)) <= 3
    )  # and one that stays, a cluster
    assert re.search(r"^ *(?:istio\.\S+  )?= \S*kubectl", ran.said, re.M)


def test_a_run_goes_on_from_where_the_cluster_is(workshop: Workshop, released: str) -> None:
    assert workshop.converge("lab.istio.canary", "--to", "half").titled("changed") == CANARY[2:3]
    assert workshop.converge("lab.istio.canary").titled("changed") == CANARY[3:]


def test_other_weights_are_measured_then_named_as_off_the_path(workshop: Workshop, released: str) -> None:
    ran = workshop.converge("lab.istio.canary", "--weights", "80,20,0")
    share = re.search(r"v1, no stars\s+\S+\s+([\d.]+) %", ran.said)
    assert share
    assert 70 < float(share[1]) < 90
    planned = workshop.converge("lab.istio.canary", "--plan").said
    assert "off the path" in planned
    assert "v1 80 %" in planned
    checked = workshop.run("lab.istio.canary", "--check")
    assert checked.status == 1
    assert "off the path" in checked.said
    assert (
        "every share is as expected"
        in workshop.converge("lab.istio.canary", "--weights", "80,20,0", "--check").said
    )


def test_a_weight_changed_by_hand_is_planned_and_repaired(workshop: Workshop, released: str) -> None:
    patch = json.dumps(
        [{"op": "replace", "path": f"/spec/http/0/route/{i}/weight", "value": w} for i, w in ((0, 60), (1, 40))]
    )
    workshop.by_hand(f"kubectl -n bookinfo patch virtualservice reviews --type=json -p '{patch}'")
    planned = workshop.converge("lab.istio.canary", "--plan").said
    assert "v1 60 %, v2 40 %" in re.sub(r"\s+", " ", planned)
    # What each stage is to measure is seen in the first run.
    assert converge_here(workshop, "istio.canary", proofs=False).titled("changed") == CANARY
    live = json.loads(workshop.by_hand(VIRTUAL_SERVICE))
    assert live["spec"]["http"][0]["route"] == [{"destination": {"host": "reviews", "subset": "v3"}, "weight": 100}]


def test_weights_that_do_not_add_up_are_refused(workshop: Workshop, released: str) -> None:
    ran = workshop.run("lab.istio.canary", "--weights", "80,10,0")
    assert ran.status == 2
    assert "the weights add up to 90, not to 100" in ran.said


def test_a_deleted_virtual_service_is_planned_and_repaired(workshop: Workshop, released: str) -> None:
    workshop.by_hand("kubectl -n bookinfo delete virtualservice bookinfo")
    planned = workshop.converge("lab.istio.canary", "--plan").said
    assert re.findall(r"\+ (.*)", planned) == ["VirtualService bookinfo/bookinfo"]
    ran = workshop.converge("lab.istio.canary")
    assert ran.titled("changed") == ["Open a port and route the page's paths to productpage"]


def test_a_report_of_the_run_has_all_it_measured_and_no_secret(
    workshop: Workshop, released: str, tmp_path: Path
) -> None:
    runs = json.loads(workshop.converge("history", "--format", "json").said)
    first = next(run for run in runs if run["command"] == "invoke lab.istio.canary")
    number = str(first["run"])
    for form in ("html", "markdown", "json", "junit"):
        place = tmp_path / f"report.{form}"
        said = here(
            workshop,
            lambda config, form=form, place=place: record_tasks.report(
                config, run=number, day="", form=form, to=str(place), force=False
            ),
        ).said
        assert said == f"the report of run {number} is in {place}\n"
    (run,) = json.loads((tmp_path / "report.json").read_text())["runs"]
    assert run["place"] == "the sandbox's ready-made cluster, context primary"
    assert run["versions"].keys() == {"Mesh Workshop", "Istio", "Kubernetes"}
    canary = run["labs"][-1]
    assert [step["title"] for step in canary["steps"]][1:] == CANARY
    measured = [one for step in canary["steps"] for verdict in step["verdicts"] for one in verdict["measurements"]]
    for one in measured:
        for share in one["shares"]:
            shown = f"{share['measured'] * 100:.1f} %"
            assert shown in released, "what was seen when it was measured"
            assert shown in (tmp_path / "report.html").read_text()
            assert shown in (tmp_path / "report.markdown").read_text()
    assert canary["steps"][2]["applied"][0]["object"] == "VirtualService bookinfo/reviews"
    sandbox = workshop.state / "sandbox"
    users = json.loads((sandbox / "kubeconfig").read_text())["users"]
    secrets = [str(secret) for user in users for secret in user["user"].values()]
    secrets.append(json.loads((sandbox / "azure.json").read_text())["token"])
    assert len(secrets) > 1
    for place in (*tmp_path.iterdir(), *workshop.state.glob("journal.sqlite*")):
        content = place.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], place


def test_the_clean_up_leaves_what_was_there_before(
    workshop: Workshop, before: dict[str, object], released: str
) -> None:
    workshop.converge("lab.istio.cleanup")
    assert workshop.dump() == before
    assert set(workshop.converge("lab.istio.cleanup").outcomes) == {"unchanged"}
