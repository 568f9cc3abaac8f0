"""The application that comes as Helm charts, with the real helm. The tests go on from one another."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kit.in_process import converge_here, kubectl_here, run_here
from tests.kit.tools import HELM, needs_helm
from tests.kit.workshop import BIN, Workshop

pytestmark = needs_helm
LAB = "istio.ratings"
UPGRADED = "Upgrade it to the summer menu, two pods at least"


@pytest.fixture(scope="module")
def there(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    converge_here(workshop, "istio.install")
    return workshop


@pytest.fixture(scope="module")
def before(there: Workshop) -> dict[str, Any]:
    return there.dump()


def secret(workshop: Workshop, namespace: str, key: str) -> str:
    live = json.loads(kubectl_here(workshop, f"-n {namespace} get secret ratings-mongodb -o json"))
    return base64.b64decode(live["data"][key]).decode()


def history(workshop: Workshop) -> list[tuple[str, str]]:
    """Status and description of each revision of the page's release."""
    assert HELM
    kubeconfig = workshop.state / "sandbox" / "kubeconfig"
    words = ["history", "ratings-web", "-n", "smoothies", "-o", "json", "--kube-context=primary"]
    done = subprocess.run(
        [HELM, *words, f"--kubeconfig={kubeconfig}"], capture_output=True, text=True, check=True, timeout=60
    )
    return [(one["status"], one["description"]) for one in json.loads(done.stdout)]


def test_it_is_installed_rated_restarted_and_upgraded(there: Workshop, before: dict[str, Any]) -> None:
    ran = there.converge("--echo", f"lab.{LAB}")
    assert "5 stars for Banana are kept over a restart of ratings-api and ratings-web" in ran.unfolded
    assert "summer menu" in ran.said
    password = secret(there, "smoothies-db", "password")
    assert f":{password}@" in secret(there, "smoothies", "MONGOCONNECTION")
    assert password not in ran.said
    assert history(there) == [("superseded", "Install complete"), ("deployed", "Upgrade complete")]
    assert not converge_here(there, LAB).titled("changed")


def test_what_is_edited_by_hand_is_put_back(there: Workshop) -> None:
    kubectl_here(there, "-n smoothies set image deployment/ratings-api api=sandbox.invalid/ratings-api:v1")
    kubectl_here(there, "-n smoothies delete hpa ratings-web")
    assert converge_here(there, LAB).titled("changed") == ["Install the API", UPGRADED]
    assert converge_here(there, LAB, plan=True).said.count("= unchanged") == 7


def test_back_by_a_rollback(there: Workshop) -> None:
    assert converge_here(there, LAB, to="v1").titled("changed") == ["Install the page"]
    assert history(there)[-1] == ("deployed", "Rollback to 1")
    assert converge_here(there, LAB).titled("changed") == [UPGRADED]
    assert history(there)[-1][0] == "deployed"


def test_a_release_that_helm_was_killed_at_is_taken_up(there: Workshop) -> None:
    last = f"sh.helm.release.v1.ratings-web.v{len(history(there))}"
    kubectl_here(there, f"-n smoothies label secret {last} status=pending-upgrade --overwrite")
    assert converge_here(there, LAB).titled("changed") == [UPGRADED]
    assert history(there)[-1][0] == "deployed"


def test_what_was_typed_without_helm_becomes_a_release(there: Workshop) -> None:
    kubectl_here(there, "-n smoothies delete secret -l name=ratings-api")
    kubectl_here(there, "-n smoothies annotate deployment,service ratings-api meta.helm.sh/release-name-")
    assert converge_here(there, LAB).titled("changed") == ["Install the API"]


def test_somebody_else_s_release_is_left_alone(there: Workshop) -> None:
    where = "-n smoothies label secret -l name=ratings-api"
    kubectl_here(there, f"{where} app.kubernetes.io/part-of-")
    kubectl_here(there, "-n smoothies delete service ratings-api")
    ran = run_here(there, LAB)
    assert ran.status == 1
    assert "somebody else has made one" in ran.said
    kubectl_here(there, f"{where} app.kubernetes.io/part-of=mesh-workshop")
    converge_here(there, LAB)


def test_another_password_is_told_but_not_said(there: Workshop) -> None:
    kubectl_here(there, '-n smoothies patch secret ratings-mongodb -p \'{"stringData":{"MONGOCONNECTION":"x:y"}}\'')
    plan = converge_here(there, LAB, plan=True)
    assert "another" in plan.said
    assert "x:y" not in plan.said
    converge_here(there, LAB)
    assert secret(there, "smoothies-db", "password") in secret(there, "smoothies", "MONGOCONNECTION")


def test_nobody_has_written_the_password_down(there: Workshop) -> None:
    password = secret(there, "smoothies-db", "password").encode()
    files = [path.read_bytes() for path in there.state.rglob("*") if path.is_file()]
    assert len(password) > 16
    assert not [1 for content in files for spelt in (password, base64.b64encode(password)) if spelt in content]


def test_all_of_it_goes_the_page_by_helm_the_rest_without(
    there: Workshop, before: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "Uninstall the page" in converge_here(there, LAB, to="none").said
    assert "Deployment/smoothies/ratings-web" not in there.dump()
    (tmp_path / "kubectl").symlink_to(BIN / "kubectl")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert "no Helm 3 is here" in converge_here(there, LAB, plan=True).said
    converge_here(there, LAB, undo=True)
    assert there.dump() == before
