"""What `--explain` says of add-ons, typed on a real sandbox: they are there, their pages are reached, and nothing
is left of them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit.runs import Recorded, manifests
from tests.kit.workshop import BIN, Cluster
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.stages import Stage, stage
from workshop.mesh.addons import AddonStages
from workshop.mesh.istioctl import Release
from workshop.mesh.release_samples import Samples
from workshop.mesh.tracing_provider import Provider
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Position
from workshop.settings import ROOT

METRICS = ("prometheus", "grafana", "kiali")
STAGES = AddonStages(
    "Observe the mesh",
    stage("metrics", "Install what counts"),
    stage("traces", "Install Jaeger"),
    start=Stage("off", "Remove the add-ons"),
    addons={"metrics": METRICS, "traces": (*METRICS, "jaeger")},
    provider=Provider("jaeger", "jaeger-collector.istio-system.svc.cluster.local", 4317),
    traced=("traces",),
)
PAGES = {
    "prometheus": "the sandbox's stand-in for Prometheus",
    "grafana": "the sandbox's stand-in for Grafana",
    "kiali": "the sandbox's stand-in for Kiali",
    "jaeger": "Jaeger",
}


class Person:
    """At a shell, in a folder of their own, with the sandbox's tools."""

    def __init__(self, sandbox: launcher.Running, folder: Path) -> None:
        path = os.pathsep.join((str(sandbox.bin), str(BIN), os.environ["PATH"]))
        self._folder, self._sandbox = folder, sandbox
        self._environment = {**os.environ, "PATH": path, "KUBECONFIG": str(sandbox.kubeconfig)}
        kubectl = Kubectl(BIN / "kubectl", sandbox.kubeconfig, "primary", folder / "cache")
        samples = Samples(ROOT / "sandbox" / "samples")
        self.run = Recorded(kubectl, samples, manifests(folder), lab="istio.observe")

    def explained(self, stage: str) -> tuple[str, ...]:
        return STAGES.step(stage, self.run).explain(self.run).commands

    def type(self, *lines: str) -> None:
        ran = subprocess.run(
            ["/bin/sh", "-e"],
            input="\n".join(lines),
            cwd=self._folder,
            env=self._environment,
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr

    def page(self, command: str) -> str:
        """What a command shows in the browser; it ends by Ctrl-C."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command} --browser=false --port=0"],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - http
                read: bytes = answer.read()
            return read.decode()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0

    def there(self) -> dict[str, object]:
        """All objects that could be an add-on's, with the data of ConfigMaps."""
        wanted = ("Deployment", "Service", "ConfigMap", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
        items = Cluster(self._sandbox.kubeconfig, "primary").items(lambda kind: kind in wanted)
        return {f"{kind} {one['metadata']['name']}": json.dumps(one.get("data")) for kind, one in items}


@pytest.fixture(scope="module")
def person(own_sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> Person:
    made = Person(own_sandbox, tmp_path_factory.mktemp("a person's folder"))
    made.type("istioctl install -y --set profile=minimal")
    return made


def dashboards(commands: tuple[str, ...]) -> list[str]:
    """They wait for Ctrl-C, so they stand in comments: who types all lines in order goes on."""
    return re.findall(r"(?m)^# .*: (istioctl dashboard \w+)$", "\n".join(commands))


async def test_what_is_typed_brings_the_add_ons_shows_their_pages_and_takes_them_away(person: Person) -> None:
    before = person.there()
    person.type(*person.explained("traces"))
    check = await STAGES.step("traces", person.run).check(person.run)
    assert check.converged, check.differences
    named = dashboards(person.explained("traces"))
    assert named == [f"istioctl dashboard {addon}" for addon in PAGES]
    assert dashboards(person.explained("metrics")) == named[: len(METRICS)]
    for command, said in zip(named, PAGES.values(), strict=True):
        assert said in person.page(command)
    person.type(*person.explained("off"))
    assert person.there() == before


GRAFANA_ALONE = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: grafana
  namespace: istio-system
  labels: {app.kubernetes.io/part-of: mesh-workshop, workshop/lab: istio.observe}
spec:
  replicas: 0
  selector: {matchLabels: {app: grafana}}
  template:
    metadata: {labels: {app: grafana}}
    spec: {containers: [{name: grafana, image: "docker.io/grafana/grafana:12.0.1"}]}
"""


async def test_without_its_files_nothing_is_downloaded_to_know_that_nothing_is_there(
    person: Person, tmp_path: Path
) -> None:
    """On a cluster the files are those of a release, which is downloaded when one of its add-ons is installed."""
    kubectl = person.run.use(Kubectl)
    elsewhere = Samples.of(Release("http://127.0.0.1:9", tmp_path), "1.31.1")
    run = Recorded(kubectl, elsewhere, manifests(tmp_path), lab="istio.observe")
    assert await STAGES.position(run) == Position(None)
    step = STAGES.step("metrics", run)
    missing = {item.subject for item in (await step.check(run)).differences}
    assert {"Deployment istio-system/kiali", "the rest of samples/addons/kiali.yaml"} <= missing
    assert not (await STAGES.check_undo(run)).differences
    made = await step.made(run)
    assert {"ClusterRole prometheus", "ConfigMap istio-system/grafana"} <= made
    with pytest.raises(WorkshopError, match="download http://127"):
        await step.apply(run)

    # One of them is there as the workshop's: what else there is of it only its file says.
    await kubectl.call("apply", "-f", "-", stdin=GRAFANA_ALONE)
    run.facts.forget()
    with pytest.raises(WorkshopError, match="download http://127"):
        await STAGES.position(run)
    await kubectl.call("delete", "-f", "-", stdin=GRAFANA_ALONE)


def test_a_path_with_a_comma_is_typed_as_one_file(tmp_path: Path) -> None:
    """kubectl's -f is a list with commas. Seen where the repository was in such a folder."""
    samples = Samples(tmp_path / 'a, "b" c')
    samples.file("kiali").parent.mkdir(parents=True)
    samples.file("kiali").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: it}}")
    line = f"{shlex.quote(str(BIN / 'kubectl'))} label --local -o name -f {samples.typed('kiali')} a=b"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "configmap/it\n"
