"""A sandbox saved and loaded elsewhere, as processes: all is as it was but for what is a new sandbox's own, and
what is half done goes on."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import launcher
from tests.kit.saved import differences
from tests.sandbox.test_main import sandbox

Eventually = Callable[[Callable[[], Any]], Any]

OBJECTS = """
apiVersion: v1
kind: Service
metadata: {name: z-first}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: httpbin
        image: docker.io/mccutchen/go-httpbin:2.18.3
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /get, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: once, annotations: {example.com/how: "once"}}
spec:
  restartPolicy: Never
  containers: [{name: once, image: curlimages/curl, args: [-s, "http://127.0.0.1:1/"]}]
---
apiVersion: v1
kind: Service
metadata: {name: a-second}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 8001, targetPort: 8080}]}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {word: sesame}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: held, finalizers: [example.com/held]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: cups.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Cup, plural: cups}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
CUP = "apiVersion: example.com/v1\nkind: Cup\nmetadata: {name: mine, finalizers: [example.com/held]}\n"


def kubectl(folder: Path, *words: str, stdin: str = "") -> str:
    command = [folder / "bin" / "kubectl", f"--kubeconfig={folder / 'kubeconfig'}", f"--cache-dir={folder}/cache"]
    done = subprocess.run([*command, *words], input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one(folder: Path, *words: str) -> Any:
    return json.loads(kubectl(folder, "get", *words, "-o", "json"))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sandbox with objects of all sorts; `evening` and, with one thing more, `later` are saved of it."""
    folder = tmp_path_factory.mktemp("there") / "state"
    launcher.ensure(folder)
    kubectl(folder, "apply", "-f", "-", stdin=OBJECTS)
    kubectl(folder, "apply", "-f", "-", stdin=CUP)
    kubectl(folder, "create", "configmap", "trusted", f"--from-file=ca.crt={folder / 'ca.pem'}")
    kubectl(folder, "delete", "configmap/held", "crd/cups.example.com", "--wait=false")
    kubectl(folder, "rollout", "status", "deployment/web", "--timeout=20s")
    kubectl(folder, "wait", "pod/once", "--for=jsonpath={.status.phase}=Failed", "--timeout=20s")
    said = sandbox("save", "evening", "--state", folder)
    assert (said.returncode, said.stderr) == (0, "")
    assert "the 1 Secrets of these clusters as plain text" in said.stdout
    yield folder
    launcher.stop(folder)


@pytest.fixture(scope="module")
def here(there: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Loaded from that, at another path and other addresses."""
    folder = tmp_path_factory.mktemp("here") / "an other Ort ä"
    said = sandbox("load", there / "saved" / "evening.json.gz", "--state", folder)
    assert (said.returncode, said.stderr) == (0, "")
    assert "not as it was saved" not in said.stdout
    yield folder
    launcher.stop(folder)


def test_all_is_as_it_was_but_for_what_is_its_own(there: Path, here: Path, eventually: Eventually) -> None:
    def same() -> bool:
        saved = sandbox("save", "again", "--force", "--state", here)
        assert saved.returncode == 0, saved.stderr
        return not differences(there / "saved" / "evening.json.gz", here / "saved" / "again.json.gz")

    eventually(same)


def test_its_addresses_and_certificates_are_its_own(here: Path) -> None:
    running = launcher.status(here)
    assert running
    block = running.url.split(".")[1]
    services = {item["metadata"]["name"]: item for item in one(here, "services")["items"]}
    ways = {
        name: service["status"]["loadBalancer"]["ingress"][0]["ip"]
        for name, service in services.items()
        if name != "kubernetes"
    }
    assert all(address.startswith(f"127.{block}.") for address in ways.values())
    assert ways["z-first"].endswith(".1"), "not as the names go"
    for name, address in ways.items():
        port = services[name]["spec"]["ports"][0]["port"]
        got = subprocess.run(
            ["curl", "-sS", "--retry", "5", "--retry-connrefused", f"http://{address}:{port}/get"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert json.loads(got.stdout)["url"], got.stderr
    for name in ("kube-root-ca.crt", "trusted"):
        assert one(here, "configmap", name)["data"]["ca.crt"] == (here / "ca.pem").read_text()


def test_pods_that_have_ended_stay_so(there: Path, here: Path) -> None:
    before, after = (one(folder, "pod", "once")["status"]["containerStatuses"] for folder in (there, here))
    assert before == after, "also when that was"
    kubectl(here, "delete", "pod", "once", "--timeout=10s")


def test_what_is_on_its_way_out_goes_on(here: Path, eventually: Eventually) -> None:
    """Held by a finalizer, in a kind that is going as well."""
    for what in ("configmap/held", "cup/mine"):
        kubectl(here, "patch", what, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    eventually(lambda: "cups" not in kubectl(here, "get", "crds", "-o", "name"))
    assert "held" not in kubectl(here, "get", "configmaps", "-o", "name")
    kubectl(here, "scale", "deployment/web", "--replicas=3")
    kubectl(here, "rollout", "status", "deployment/web", "--timeout=20s")
    assert len(one(here, "replicasets")["items"]) == 1


def test_one_that_runs_is_replaced_only_when_that_was_said(here: Path) -> None:
    running = launcher.status(here)
    asked = sandbox("load", "again", "--state", here)
    assert asked.returncode == 1
    assert "which would end with all that is in it: say --yes" in asked.stderr
    assert launcher.status(here) == running


def test_what_cannot_be_loaded_ends_nothing(here: Path, tmp_path: Path) -> None:
    running = launcher.status(here)
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes((here / "saved" / "again.json.gz").read_bytes()[:-100])
    for named, said in (
        (cut, "damaged"),
        ("none", "no state 'none' is saved"),
        (tmp_path / "x" / "y", "No such file"),
    ):
        asked = sandbox("load", named, "--yes", "--state", here)
        assert asked.returncode == 2
        assert said in asked.stderr
    assert launcher.status(here) == running


def test_without_a_sandbox_there_is_nothing_to_save(tmp_path: Path) -> None:
    asked = sandbox("save", "nothing", "--state", tmp_path / "state")
    assert asked.returncode == 1
    assert f"no sandbox runs in {tmp_path / 'state'}" in asked.stderr
    assert not (tmp_path / "state").exists()


def test_those_that_are_saved_are_listed(there: Path) -> None:
    assert re.match(r"evening  of \d{4}-.*; objects: \d+ of primary\n", sandbox("load", "--state", there).stdout)
    asked = sandbox("save", "evening", "--state", there)
    assert asked.returncode == 2
    assert "it is there already" in asked.stderr


def test_all_folders_of_a_process_begin_with_it(there: Path, tmp_path: Path) -> None:
    """Each cluster when it is called, at addresses of its own."""
    folders = [tmp_path / name for name in ("ada", "grace")]
    try:
        found = launcher.ensure_all(folders, saved=there / "saved" / "evening.json.gz")
        assert sandbox("save", "uncalled", "--state", folders[1]).returncode == 0
        uncalled = folders[1] / "saved" / "uncalled.json.gz"
        assert not differences(there / "saved" / "evening.json.gz", uncalled), "also before anybody calls it"
        pids, ways = set(), set()
        for folder in folders:
            running = found[folder]
            assert isinstance(running, launcher.Running)
            pids.add(running.pid)
            kubectl(folder, "rollout", "status", "deployment/web", "--timeout=60s")
            ways.add(one(folder, "service", "z-first")["status"]["loadBalancer"]["ingress"][0]["ip"])
            uids = (one(each, "deployment", "web")["metadata"]["uid"] for each in (folder, there))
            assert len(set(uids)) == 1
        assert (len(pids), len(ways)) == (1, 2)
    finally:
        launcher.stop_all(folders)
