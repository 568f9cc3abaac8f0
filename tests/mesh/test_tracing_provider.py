"""A provider of traces is put into the mesh's configuration and taken out again, by a run and by hand, whatever
stands there."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from sandbox.server import launcher
from tests.kit.runs import Recorded
from tests.kit.workshop import BIN
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.tracing_provider import (
    FIELD,
    Provider,
    commands,
    commands_without,
    differences,
    switch,
    with_provider,
    without_provider,
)
from workshop.runbook.errors import WorkshopError

JAEGER = Provider("jaeger", "jaeger-collector.istio-system.svc.cluster.local", 4317)
REAL = """defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
defaultProviders:
  metrics:
  - prometheus
enablePrometheusMerge: true
rootNamespace: istio-system
trustDomain: cluster.local"""
"""As `istioctl install` of 1.31.1 wrote it into a real cluster: without an end of line."""
ZIPKIN = "- name: zipkin\n  zipkin: {service: zipkin.tracing.svc.cluster.local, port: 9411}\n"
INDENTED = "".join(f"  {line}\n" for line in ZIPKIN.splitlines())
STARTS = {
    "without an end of line": REAL,
    "with one": f"{REAL}\n",
    "a list before the rest": f"{FIELD}:\n{ZIPKIN}{REAL}",
    "a list behind the rest": f"{REAL}\n{FIELD}:\n{ZIPKIN}",
    "a list that ends without": f"{REAL}\n{FIELD}:\n{ZIPKIN}".rstrip("\n"),
    "an indented list": f"{REAL}\n{FIELD}:\n{INDENTED}",
    "with comments": f"# of ours\n{REAL}  # all of it",
    "nothing at all": "",
}


def kept_in(mesh: str) -> dict[str, object]:
    """What it says but for the provider."""
    config = yaml.safe_load(mesh) or {}
    others = [one for one in config.pop(FIELD, ()) if one != JAEGER.entry]
    return {**config, FIELD: others} if others else config


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_it_is_added_to_what_is_there_and_taken_out_to_the_letter(start: str) -> None:
    changed = with_provider(start, JAEGER)
    assert yaml.safe_load(changed)[FIELD][0] == JAEGER.entry
    assert kept_in(changed) == (yaml.safe_load(start) or {})
    assert without_provider(changed, JAEGER) == start
    assert without_provider(start, JAEGER) == start


LISTS = ([], [{"name": "a"}], [{"name": "a"}, {"name": "b"}])


@pytest.mark.parametrize(
    ("others", "other_port", "first", "flow"),
    list(itertools.product(LISTS, (False, True), (False, True), (None, True, False))),
)
def test_however_it_is_written_it_says_the_same_afterwards(
    others: list[dict[str, object]], other_port: bool, first: bool, flow: bool | None
) -> None:
    """Also where the text has to be made anew, and where another provider has the name."""
    there = [*others, {**JAEGER.entry, "opentelemetry": {"port": 1}}] if other_port else others
    parts: list[dict[str, object]] = [{FIELD: there}, {"rootNamespace": "istio-system"}]
    said = {key: value for part in (parts if first else parts[::-1]) for key, value in part.items()}
    changed = with_provider(yaml.safe_dump(said, sort_keys=False, default_flow_style=flow), JAEGER)
    assert yaml.safe_load(changed) == {**said, FIELD: [JAEGER.entry, *others]}
    left = yaml.safe_load(without_provider(changed, JAEGER))
    assert left == {"rootNamespace": "istio-system", **({FIELD: others} if others else {})}


@pytest.mark.parametrize("text", ["- a", f"{FIELD}: yes", f"{FIELD}: [jaeger]", "{"])
def test_what_is_no_mesh_configuration(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is no|is no list"):
        with_provider(text, JAEGER)


class Mesh:
    """The ConfigMap of a cluster, for a run and for a person at a shell. There is no Istio: istiod has read, as
    on a real cluster, what the API server has taken."""

    def __init__(self, kubectl: Kubectl, folder: Path) -> None:
        self.run, self._kubectl, self.folder = Recorded(kubectl), kubectl, folder

    def type(self, lines: Sequence[str]) -> None:
        program = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        ran = subprocess.run(
            ["/bin/sh", "-e"],
            input="\n".join(lines),
            cwd=self.folder,
            env={**os.environ, "PATH": program, "KUBECONFIG": str(self._kubectl.kubeconfig)},
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr

    async def begin(self, text: str) -> None:
        config = {"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}}
        await self._kubectl.merge_patch({"apiVersion": "v1", **config}, {"data": {"mesh": text}})

    async def text(self) -> str:
        found = await self._kubectl.find("ConfigMap", "istio-system", "istio")
        assert found is not None
        return str(found["data"]["mesh"])


@pytest.fixture(scope="module")
def mesh(own_sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    kubectl = Kubectl(BIN / "kubectl", own_sandbox.kubeconfig, "primary", tmp_path_factory.mktemp("cache"))
    made = Mesh(kubectl, tmp_path_factory.mktemp("a person's folder"))
    made.type(
        [
            "kubectl create namespace istio-system",
            "kubectl create configmap istio -n istio-system --from-literal=meshNetworks='networks: {}'",
        ]
    )
    return made


TYPED = ("without an end of line", "a list that ends without", "an indented list", "nothing at all")


@pytest.mark.parametrize("start", TYPED)
async def test_a_run_and_a_person_at_a_shell_come_to_the_same(mesh: Mesh, start: str) -> None:
    """What is typed is what `--explain` says."""
    await mesh.begin(STARTS[start])
    mesh.run.facts.forget()
    assert await differences(mesh.run, JAEGER, True)
    mesh.type(commands(JAEGER))
    assert await mesh.text() == with_provider(STARTS[start], JAEGER)
    mesh.run.facts.forget()
    assert not await differences(mesh.run, JAEGER, True)
    await switch(mesh.run, JAEGER, on=False)
    assert await mesh.text() == STARTS[start]
    await switch(mesh.run, JAEGER, on=True)
    assert await mesh.text() == with_provider(STARTS[start], JAEGER)


async def test_by_hand_it_is_there_once_and_taken_out_as_well(mesh: Mesh) -> None:
    """Two stages say that it is to be there."""
    await mesh.begin(REAL)
    mesh.type((*commands(JAEGER), *commands(JAEGER)))
    assert await mesh.text() == with_provider(REAL, JAEGER)
    mesh.type((*commands_without(JAEGER), "kubectl get configmap istio -n istio-system -o json > now.json"))
    assert json.loads((mesh.folder / "now.json").read_text())["data"] == {
        "mesh": REAL,
        "meshNetworks": "networks: {}",
    }


async def test_what_cannot_be_read_is_named_with_what_to_type(mesh: Mesh) -> None:
    run = Recorded(Kubectl(BIN / "kubectl", mesh.run.use(Kubectl).kubeconfig, "primary", Path("/nowhere")))
    mesh.type(["kubectl delete configmap istio -n istio-system"])
    await switch(run, JAEGER, on=False)
    with pytest.raises(WorkshopError) as refused:
        await switch(run, JAEGER, on=True)
    assert refused.value.came_back == "it is not there"
    assert "get configmap istio -n istio-system" in refused.value.next_command
