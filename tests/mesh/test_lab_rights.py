"""What labs have to be allowed follows from what they declare."""

from __future__ import annotations

from pathlib import Path

from tests.kit.runs import DEPLOYMENT, SERVICE, Recorded, manifests
from workshop.kubernetes.access_reviews import Access
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.other_clusters import OtherClusters, if_cluster, on_cluster
from workshop.kubernetes.proofs import exec_check
from workshop.mesh.install import install
from workshop.mesh.istioctl import Istioctl, Program, Release
from workshop.mesh.lab_rights import rights_of, said
from workshop.mesh.observed_calls import CountedCalls
from workshop.runbook.model import Lab, Step

ALL = {"get", "list", "watch", "create", "patch", "delete"}


async def rights(folder: Path, *steps: Step, installs: bool = True, role: str = "") -> dict[str, set[str]]:
    """By kind and namespace, without those of the mark and the lock."""
    files = {
        name: text.replace("NAMESPACE", "shop")
        for name, text in (("web", DEPLOYMENT), ("door", SERVICE), ("role", role))
    }
    nowhere = Kubectl(Path("kubectl"), folder / "kubeconfig", "primary", folder, absent=True)
    istioctl = Istioctl(Program("1.31.1", Release("http://127.0.0.1:9", folder)), nowhere.kubeconfig, "primary")
    run = Recorded(nowhere, istioctl, manifests(folder, **files), OtherClusters({}))
    found: dict[str, set[str]] = {}
    for each in await rights_of([Lab("istio.own", "", "", steps)], run, installs=installs):
        found.setdefault(f"{each.named} {each.namespace}".rstrip(), set()).add(each.verb)
    assert found.pop("leases.coordination.k8s.io workshop-system") == {"get", "create", "update", "delete"}
    assert found.pop("configmaps workshop-system") == {"get", "create", "patch"}
    assert {"get", "create", "patch", "delete"} <= found.pop("namespaces")
    return found


async def test_of_its_objects_and_of_what_looks_at_them(tmp_path: Path) -> None:
    proof = exec_check("env", "PATH", "shop", "deploy/web", "web")
    found = await rights(tmp_path, apply("Deploy", "web.yaml", "door.yaml", proofs=(proof,)))
    assert found == {
        "deployments.apps shop": ALL,
        "services shop": ALL,
        "pods shop": {"get", "list", "watch"},
        "pods/exec shop": {"create"},
    }


ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
"""


async def test_who_makes_a_role_holds_what_it_allows_or_may_give_it(tmp_path: Path) -> None:
    found = await rights(tmp_path, apply("Deploy", "role.yaml"), role=ROLE)
    assert found["clusterroles.rbac.authorization.k8s.io"] >= {"create", "bind", "escalate"}


async def test_a_service_is_asked_through_the_api_server(tmp_path: Path) -> None:
    found = await rights(
        tmp_path, apply("Deploy", "web.yaml", proofs=(CountedCalls("/", "shop", "web", "db", "web"),))
    )
    assert found["services/proxy istio-system"] == {"get"}


async def test_what_is_elsewhere_or_left_out_is_not_needed_here(tmp_path: Path) -> None:
    step = apply("Deploy", "web.yaml")
    assert await rights(tmp_path, on_cluster("secondary", step), if_cluster("secondary", step)) == {}


async def test_an_installation_takes_its_kinds_and_the_giving_of_roles(tmp_path: Path) -> None:
    found = await rights(tmp_path, install("Install"))
    assert found["clusterroles.rbac.authorization.k8s.io"] >= {"create", "patch", "delete", "bind", "escalate"}
    assert found["customresourcedefinitions.apiextensions.k8s.io"] >= {"create", "patch", "delete", "list"}
    assert found["mutatingwebhookconfigurations.admissionregistration.k8s.io"] >= {"create", "patch", "delete"}
    assert found["deployments.apps istio-system"] == ALL


async def test_where_istio_is_there_it_takes_none_of_that(tmp_path: Path) -> None:
    found = await rights(tmp_path, install("Install"), installs=False)
    assert set(found) == {"configmaps istio-system"}, "the record beside it"


def test_what_is_missing_is_said_by_kind_once() -> None:
    missing = [
        *(Access("deployments", "apps", verb, home) for home in ("shop", "web") for verb in ("create", "patch")),
        *(Access("services", "", verb, home) for home in ("shop", "web") for verb in ("create", "patch")),
        Access("pods/exec", "", "create", "shop"),
    ]
    assert said(missing) == "create, patch deployments.apps, services in shop, web; create pods/exec in shop"
