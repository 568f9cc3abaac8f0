"""`istioctl analyze` of files alone: what is read, what a cluster would refuse of it, what is printed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sandbox.istioctl.commands import main

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: one}
spec: {selector: {app: one}, ports: [{name: http, port: 80}]}
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r}
spec: {hosts: [one], http: [{route: [{destination: {host: one}}]}]}
"""
WEIGHTS = ((-1, "two"), (-2, "one"), (9, "one"))
SAID_OF_R = "Error [IST0106] (VirtualService shop/r) Schema validation error: "


class Analyze:
    """The command on what stands in a file."""

    def __init__(self, folder: Path, printed: pytest.CaptureFixture[str]) -> None:
        self._file, self._printed = folder / "given.yaml", printed

    def __call__(self, *documents: str) -> tuple[int, list[str]]:
        self._file.write_text("---".join(documents))
        return self.run(str(self._file))

    def everywhere(self, *documents: str) -> tuple[int, list[str]]:
        self._file.write_text("---".join(documents))
        return self.run(str(self._file), where="-A")

    def run(self, *words: str, where: str = "-n=shop") -> tuple[int, list[str]]:
        status = main(["analyze", *words, where, "--use-kube=false"])
        out, self.err = self._printed.readouterr()
        return status, out.splitlines()


@pytest.fixture
def analyze(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Analyze:
    return Analyze(tmp_path, capsys)


def test_what_is_right_and_what_is_not_looked_at(analyze: Analyze) -> None:
    others = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
---
apiVersion: example.org/v1
kind: Anything
metadata: {name: x}
"""
    assert analyze(SERVICE, RULE, others) == (0, [])
    assert analyze.err.startswith("✔ No validation issues found when analyzing ")


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        ("{destination", "{weight: -3, destination", "weight -3 < 0"),
        ("http: [{", "http: [{foo: 1, ", 'unknown field "spec.http[0].foo"'),
        (
            "http: [{",
            "http: [{retries: {retryRemoteLocalities: true}, ",
            "spec.http[0].retries.retryRemoteLocalities: not supported by the sandbox",
        ),
        (
            "hosts: [one]",
            "hosts: one",
            'spec.hosts: Invalid value: "string": spec.hosts in body must be of type array: "string"',
        ),
        ("istio.io/v1", "istio.io/v9", 'no matches for kind "VirtualService" in version "networking.istio.io/v9"'),
    ],
)
def test_what_a_cluster_would_refuse(analyze: Analyze, written: str, instead: str, problem: str) -> None:
    assert analyze(SERVICE, RULE.replace(written, instead)) == (79, [SAID_OF_R + problem])


def test_each_problem_is_said_and_what_analyzers_find_beside_them(analyze: Analyze) -> None:
    split = ", ".join(f"{{weight: {weight}, destination: {{host: {host}}}}}" for weight, host in WEIGHTS)
    status, said = analyze(SERVICE, RULE.replace("{destination: {host: one}}", split))
    assert status == 79
    assert said == [
        'Error [IST0101] (VirtualService shop/r) Referenced host not found: "two"',
        f"{SAID_OF_R}weight -1 < 0",
        f"{SAID_OF_R}weight -2 < 0",
    ]


def test_kubernetes_own_objects_must_have_their_shape(analyze: Analyze) -> None:
    bare = SERVICE.replace("ports: [{name: http, port: 80}]", "ports: [{name: http}]")
    required = "Error [IST0106] (Service shop/one) Schema validation error: spec.ports[0].port: Required value"
    assert analyze(bare) == (79, [required])


def test_pods_that_deployments_would_have_are_there(analyze: Analyze) -> None:
    deployment = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: one}
spec:
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: one, version: v1}}
    spec: {containers: [{name: one, image: one}]}
"""
    subsets = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d}
spec: {host: one, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
"""
    (said,) = analyze(SERVICE, deployment, subsets)[1]
    assert said.startswith("Error [IST0173] (DestinationRule shop/d) The Subset v2 defined ")


def test_without_a_cluster_there_is_an_ingress_gateway(analyze: Analyze) -> None:
    gateway = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g}
spec:
  selector: {istio: ingressgateway}
  servers: [{hosts: ["*"], port: {number: 80, name: http, protocol: HTTP}}]
"""
    assert analyze(gateway) == (0, [])
    other = 'Error [IST0101] (Gateway shop/g) Referenced selector not found: "istio=other"'
    assert analyze(gateway.replace("ingressgateway", "other")) == (79, [other])


def test_a_dash_is_what_comes_in(analyze: Analyze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(RULE))
    missing = 'Error [IST0101] (VirtualService shop/r) Referenced host not found: "one"'
    assert analyze.run("-") == (79, [missing])
    monkeypatch.setattr("sys.stdin", io.StringIO("---".join((RULE, SERVICE))))
    assert analyze.run("-") == (0, [])
    assert analyze.err == "✔ No validation issues found when analyzing -.\n"


@pytest.mark.parametrize("text", ["kind: Service\nmetadata: {name: x}", "[1]", "{", "apiVersion: v1\nkind: Pod"])
def test_what_is_no_object_is_no_file_to_analyze(analyze: Analyze, text: str) -> None:
    assert analyze(text) == (65, [])
    assert "given.yaml" in analyze.err


def test_what_is_found_is_ordered_and_ends_as_the_real_one_does(analyze: Analyze) -> None:
    """`shared/real/istioctl/analyze-A.txt`: by level, number, kind, then name before namespace; the address is
    that of the release's own pages."""
    gate = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: NAME, namespace: SPACE}
spec:
  selector: {istio: ingressgateway}
  servers: [{hosts: ["*"], port: {number: 8080, name: http, protocol: HTTP}}]
"""
    pair = [gate.replace("NAME", name).replace("SPACE", space) for name, space in (("b", "a"), ("a", "b"))]
    note = SERVICE.replace("{name: one}", "{name: one, annotations: {sidecar.istio.io/statsCompression: x}}")
    status, said = analyze.everywhere(note, *pair)
    assert status == 79
    assert [line.partition(")")[0] for line in said] == [
        "Error [IST0145] (Gateway b/a",
        "Error [IST0145] (Gateway a/b",
        "Info [IST0135] (Service default/one",
    ]
    assert analyze.err.splitlines() == [
        "Error: Analyzers found issues when analyzing all namespaces.",
        "See https://istio.io/v1.31/docs/reference/config/analysis for more information about causes and "
        "resolutions.",
    ]
