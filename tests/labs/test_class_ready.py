"""The evening before a class: whether it could begin, and what its members are given. Members with clusters that
are there: both of a sandbox's, each by its own context, as an instructor's kubeconfig has them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.server import launcher
from tests.kit.workshop import Cluster, Ran, Workshop
from workshop.classroom import member_record
from workshop.settings import DEFAULT_PROFILE

ROSTER = """
members:
- {name: ada, context: primary, kubeconfig: KUBECONFIG}
- {name: ben, context: secondary, kubeconfig: KUBECONFIG}
- {name: cleo, context: gone, kubeconfig: KUBECONFIG}
"""


class Evening(Workshop):
    """On a machine that has no istioctl in PATH, and no way to one; ada's and ben's runs have it already."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "INVOKE_ISTIO_DOWNLOAD": "http://127.0.0.1:9"}

    def of(self, *words: str) -> Ran:
        return self.run(*words, "--roster", str(self.state / "class.yaml"))

    @property
    def given(self) -> Path:
        return self.state / "kubeconfigs"

    def content(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.given / f"{name}.kubeconfig").read_text())
        return found


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    evening = Evening(tmp_path_factory.mktemp("evening"))
    evening.converge("sandbox.up")
    kubeconfig = evening.state / "instructors"
    content = json.loads((evening.state / "sandbox" / "kubeconfig").read_text())
    content["clusters"].append({"name": "gone", "cluster": {"server": "https://127.0.0.1:9"}})
    content["users"].append({"name": "gone", "user": {"token": "of-nothing"}})
    content["contexts"].append({"name": "gone", "context": {"cluster": "gone", "user": "gone"}})
    kubeconfig.write_text(json.dumps(content))
    (evening.state / "class.yaml").write_text(ROSTER.replace("KUBECONFIG", str(kubeconfig)))
    version = yaml.safe_load(DEFAULT_PROFILE.read_text())["istio"]["version"]
    for name in ("ada", "ben"):
        there = evening.state / "class" / name / "bin" / f"istioctl-{version}"
        there.parent.mkdir(parents=True)
        there.touch()
    ran = evening.of("class.adopt", "--yes", "--only", "ada,ben")
    assert ran.status == 0, ran.said
    yield evening
    launcher.stop(evening.state / "sandbox")


def versions(evening: Evening) -> dict[str, str]:
    kubeconfig = evening.state / "sandbox" / "kubeconfig"
    return {
        key: version
        for context in ("primary", "secondary")
        for key, version in Cluster(kubeconfig, context).versions(("Event", "Lease", "Node"))
    }


def test_each_member_is_looked_at_and_nothing_is_changed(evening: Evening) -> None:
    before = versions(evening)
    ran = evening.of("class.doctor", "--labs", "istio.canary")
    assert ran.status == 1, ran.said
    assert "2 of 3 members done" in ran.said
    assert "6 things looked at, nothing would make a run fail" in ran.unfolded
    assert "1 member failed: cleo" in ran.said
    assert "cluster: " in ran.unfolded
    assert "connection refused" in ran.unfolded or "was refused" in ran.unfolded
    assert "for 3 members, on this machine" in ran.said
    assert ran.unfolded.count("curl -I http://127.0.0.1:9") == 1
    assert versions(evening) == before
    last = member_record.read(evening.state / "class" / "ada")
    assert last is not None
    assert last.task == "adopt", "a look is nobody's last task"
    assert "--failed" not in ran.said


def test_what_may_go_wrong_is_said_once_with_whose_it_is(evening: Evening) -> None:
    clusters = [Cluster(evening.state / "sandbox" / "kubeconfig", name) for name in ("primary", "secondary")]
    for cluster in clusters:
        cluster.create_namespace("linkerd")
    ran = evening.of("class.doctor", "--only", "ada,ben")
    for cluster in clusters:
        cluster.delete_namespace("linkerd")
    assert ran.status == 0, ran.said
    assert "nothing would make a run fail; 1 not sure" in ran.unfolded
    assert ran.unfolded.count("Linkerd is there too") == 1
    assert "ada, ben: not sure, other meshes: Linkerd is there too" in ran.unfolded


def test_each_member_gets_a_way_into_the_own_cluster(evening: Evening) -> None:
    ran = evening.of("class.kubeconfigs", "--only", "ada,ben", "--hours", "8")
    assert ran.status == 0, ran.said
    servers = {
        each["name"]: each["cluster"]["server"]
        for each in json.loads((evening.state / "instructors").read_text())["clusters"]
    }
    for name, own in (("ada", "primary"), ("ben", "secondary")):
        content, file = evening.content(name), evening.given / f"{name}.kubeconfig"
        assert [each["cluster"]["server"] for each in content["clusters"]] == [servers[own]]
        assert [each["name"] for each in content["contexts"]] == ["primary"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        profile = evening.state / f"{name}.yaml"
        profile.write_text(f"target: cluster\ncluster: {{context: primary, kubeconfig: {file}}}\n")
        looked = evening.run("-f", str(profile), "status")
        assert looked.status == 0, looked.said
        assert content["users"][0]["user"]["token"] not in ran.said + looked.said
    assert evening.content("ada")["users"] != evening.content("ben")["users"]


def test_hours_that_are_none(evening: Evening) -> None:
    for hours in ("0", "soon", "-1", "99999"):
        ran = evening.of("class.kubeconfigs", f"--hours={hours}")
        assert ran.status == 2, ran.said
        assert "it is a whole number, from 1 to 8760" in ran.unfolded
