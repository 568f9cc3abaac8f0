"""The setting cluster.secondary: two contexts of one kubeconfig, for which the sandbox's two clusters stand in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.workshop import Workshop
from workshop.kubernetes.kubeconfigs import server_of
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.other_clusters import OtherClusters
from workshop.mesh.istioctl import Istioctl
from workshop.runbook.errors import UsageError
from workshop.settings import DEFAULT_PROFILE, Settings, from_config, read_profile
from workshop.target import SECONDARY, Use, describe


@pytest.fixture(scope="module")
def profile(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workshop.converge("sandbox.up")
    kubeconfig = workshop.state / "sandbox" / "kubeconfig"
    path = tmp_path_factory.mktemp("profile") / "cluster.yaml"
    path.write_text(
        "target: cluster\nistio: {download: 'http://127.0.0.1:9'}\n"
        f"cluster: {{context: primary, secondary: secondary, kubeconfig: {kubeconfig}}}\n"
    )
    return path


def with_secondary(profile: Path, name: str) -> Path:
    path = profile.with_name(f"{name}.yaml")
    path.write_text(profile.read_text().replace("secondary: secondary", f"secondary: {name}"))
    return path


def test_it_is_adopted_and_examined_with_the_primary(workshop: Workshop, profile: Path) -> None:
    before = workshop.run("-f", str(profile), "doctor")
    assert before.status == 1
    said = before.unfolded
    assert "ok cluster primary, Kubernetes 1.36.1-sandbox, is the workshop's" in said
    assert "fail secondary secondary, Kubernetes 1.36.1-sandbox, has not been adopted" in said
    assert f"invoke -f {profile} adopt" in said

    refused = workshop.run("-f", str(profile), "adopt")
    assert refused.status == 2
    assert "adopt secondary" in refused.said
    adopted = workshop.converge("-f", str(profile), "adopt", "--yes").said
    assert "primary is the workshop's already" in adopted
    assert "secondary is the workshop's now" in adopted
    assert "workshop-mark" in workshop.by_hand("kubectl --context secondary get configmaps -n workshop-system")
    again = workshop.run("-f", str(profile), "doctor").unfolded
    assert "ok secondary secondary, Kubernetes 1.36.1-sandbox, is the workshop's" in again


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("third", "has no context third; it has primary, secondary"),
        ("primary", "cluster.secondary is 'primary', as cluster.context is"),
    ],
)
def test_one_that_is_none_is_refused(workshop: Workshop, profile: Path, name: str, said: str) -> None:
    ran = workshop.run("-f", str(with_secondary(profile, name)), "lab.istio.install", "--plan")
    assert ran.status == 2
    assert said in ran.unfolded


def settings(workshop: Workshop, **cluster: str) -> Settings:
    content = read_profile(DEFAULT_PROFILE)
    content["state"] = str(workshop.state)
    if cluster:
        content |= {"target": "cluster", "cluster": {"secondary": "", "kubeconfig": "", **cluster}}
    return from_config(content)


def test_two_contexts_of_one_cluster_are_refused(workshop: Workshop, profile: Path, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {cluster: c, user: v}}]\n"
    )
    with pytest.raises(UsageError, match="the contexts a and b both lead to https"):
        describe(settings(workshop, context="a", secondary="b", kubeconfig=str(kubeconfig)))


def test_without_the_setting_there_is_none(workshop: Workshop, profile: Path) -> None:
    kubeconfig = str(workshop.state / "sandbox" / "kubeconfig")
    assert not describe(settings(workshop, context="primary", kubeconfig=kubeconfig)).others.clusters


def test_the_sandbox_offers_its_own_until_others_are_made(workshop: Workshop, profile: Path) -> None:
    target = describe(settings(workshop))
    others = target.toolbox[OtherClusters]
    assert isinstance(others, OtherClusters)
    tools = others.clusters[SECONDARY].tools
    kubectl, istioctl = tools[Kubectl], tools[Istioctl]
    assert isinstance(kubectl, Kubectl)
    assert isinstance(istioctl, Istioctl)
    assert kubectl.kubeconfig == istioctl.kubeconfig == workshop.state / "sandbox" / "kubeconfig"
    assert (kubectl.context, istioctl.context) == (SECONDARY, SECONDARY)
    assert not kubectl.absent
    assert others.clusters[SECONDARY].guard.disposable

    planned = describe(settings(workshop), Use(made=True)).others.clusters[SECONDARY].tools[Kubectl]
    assert isinstance(planned, Kubectl)
    assert planned.absent
    assert planned.kubeconfig == workshop.state / "kubeconfig"
    assert not describe(settings(workshop), Use(account=True)).others.clusters


def test_the_sandbox_s_labs_never_go_to_a_cluster_on_azure(workshop: Workshop, profile: Path) -> None:
    """Whose way is in the same file, written later than the sandbox was started, once both targets were used."""
    entry, own = "{name: primary, context: {cluster: c, user: u}}", workshop.state / "kubeconfig"
    for server in ("https://primary-1234.hcp.westeurope.azmk8s.io:443", "https://20.1.2.3:443"):
        own.write_text(f"clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\ncontexts: [{entry}]\n")
        target = describe(settings(workshop))
        assert target.kubectl.kubeconfig == workshop.state / "sandbox" / "kubeconfig"
        assert target.which == "the sandbox's ready-made cluster"
    own.unlink()


def test_azure_says_when_it_is_a_sandbox_s(workshop: Workshop, profile: Path, tmp_path: Path) -> None:
    content = read_profile(DEFAULT_PROFILE)
    content |= {"target": "azure", "state": str(tmp_path)}
    content["azure"]["subscription"] = "12345678-1234-1234-1234-123456789012"
    own = tmp_path / "kubeconfig"
    own.write_text((workshop.state / "sandbox" / "kubeconfig").read_text())
    told: list[str] = []
    target = describe(from_config(content))
    target.make_ready(told.append)
    assert told == [f"labs work on {target.which}"]
    assert "none on Azure: invoke lab.azure.credentials" in target.which
    server = server_of(own, "primary")
    own.write_text(own.read_text().replace(server, "https://primary-1234.hcp.westeurope.azmk8s.io:443"))
    assert describe(from_config(content)).which == "the AKS cluster primary in the group mesh-workshop"


def test_azure_has_what_was_made(workshop: Workshop, tmp_path: Path) -> None:
    content = read_profile(DEFAULT_PROFILE)
    content |= {"target": "azure", "state": str(tmp_path)}
    content["azure"]["subscription"] = "12345678-1234-1234-1234-123456789012"

    def offered(*contexts: str, made: bool = False) -> Kubectl | None:
        entries = "".join(f"{{name: {name}, context: {{cluster: c, user: u}}}}, " for name in contexts)
        (tmp_path / "kubeconfig").write_text(f"contexts: [{entries}]\n")
        other = describe(from_config(content), Use(made=made)).others.clusters.get(SECONDARY)
        kubectl = other.tools[Kubectl] if other else None
        assert kubectl is None or isinstance(kubectl, Kubectl)
        return kubectl

    assert offered("primary") is None
    there, planned = offered("primary", "secondary"), offered("primary", made=True)
    assert there
    assert planned
    assert (there.context, there.absent) == (SECONDARY, False)
    assert (planned.context, planned.absent) == (SECONDARY, True)


def test_the_shell_has_both(workshop: Workshop, profile: Path) -> None:
    said = workshop.by_hand("kubectl config get-contexts --no-headers")
    assert [line.split()[:2] for line in said.splitlines()] == [["*", "primary"], ["secondary", "secondary"]]
