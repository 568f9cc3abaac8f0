"""What takes something back is refused on a cluster that is not the workshop's, before it has changed anything.

It is a sandbox's cluster that labs have worked on, and whose mark somebody has removed: seen as a person's own
cluster, which nothing adopts without asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit.in_process import bring_all, kubectl_here
from tests.kit.workshop import Cluster, Ran, Workshop

MARK = "workshop's mark (ConfigMap workshop-mark in namespace workshop-system)"


class Person(Workshop):
    """Who works on a cluster of that sandbox by its kubeconfig, from another state folder."""

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    def on(self, context: str, *words: str) -> Ran:
        profile = self.state / f"{context}.yaml"
        profile.write_text(
            "target: cluster\nistio: {download: 'http://127.0.0.1:9'}\n"
            f"cluster: {{context: {context}, kubeconfig: '{self.kubeconfig}'}}\n"
        )
        return self.run("-f", str(profile), *words)

    def versions(self) -> dict[str, str]:
        """Of all objects of both clusters."""
        both = (Cluster(self.kubeconfig, context) for context in ("primary", "secondary"))
        return dict(version for cluster in both for version in cluster.versions())


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    sandbox = Workshop(tmp_path_factory.mktemp("sandbox"))
    sandbox.converge("sandbox.up")
    bring_all(sandbox, "istio.inject")
    kubectl_here(sandbox, "create configmap -n primary mine")
    kubectl_here(sandbox, "delete configmap -n workshop-system workshop-mark")
    person = Person(tmp_path_factory.mktemp("person"))
    person.kubeconfig.write_bytes((sandbox.state / "sandbox" / "kubeconfig").read_bytes())
    yield person
    launcher.stop(sandbox.state / "sandbox")


@pytest.mark.parametrize(
    "line",
    [
        "reset --to istio.install --foreign",
        "reset --to clean --foreign",
        "reset --before istio.inject --foreign",
        "reset --to istio.inject --foreign",
        "lab.istio.cleanup",
        "lab.istio.inject --undo",
    ],
)
def test_without_the_mark(person: Person, line: str) -> None:
    before = person.versions()
    ran = person.on("primary", *line.split(), "--yes")
    assert ran.status == 2, ran.said
    assert f"delete anything from the cluster primary it lacks the {MARK}" in ran.unfolded.replace(" came back", "")
    assert f"invoke -f {person.state}/primary.yaml adopt" in ran.unfolded
    assert person.versions() == before


def test_a_class_without_the_mark(person: Person) -> None:
    roster = person.state / "class.yaml"
    roster.write_text(f"members: [{{name: ada, context: primary, kubeconfig: '{person.kubeconfig}'}}]\n")
    before = person.versions()
    ran = person.run("class.reset", "--to", "clean", "--foreign", "--yes", "--roster", str(roster))
    assert ran.status == 2, ran.said
    assert MARK in ran.unfolded
    assert f"next invoke class.adopt --roster {roster} --only ada" in ran.unfolded
    assert person.versions() == before


@pytest.mark.parametrize(
    ("context", "said"),
    [("secondary", f"the cluster secondary came back it lacks the {MARK}"), ("other", "it has primary, secondary")],
)
def test_with_a_wrong_context(person: Person, context: str, said: str) -> None:
    """It leads to somebody else's cluster, or to none."""
    before = person.versions()
    ran = person.on(context, "reset", "--to", "istio.inject", "--yes")
    assert ran.status == 2, ran.said
    assert said in ran.unfolded
    assert person.versions() == before
