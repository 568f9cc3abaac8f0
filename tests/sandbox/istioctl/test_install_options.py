"""Settings and files in, what to install out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.istioctl.command_line import FileError, UsageError
from sandbox.istioctl.install_options import Options, options
from sandbox.istioctl.manifests import components

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"


def operator(tmp_path: Path, **spec: object) -> str:
    file = tmp_path / "operator.yaml"
    file.write_text(
        yaml.safe_dump({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec})
    )
    return str(file)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("default", ["Base", "Pilot", "IngressGateways"]),
        ("demo", ["Base", "Pilot", "EgressGateways", "IngressGateways"]),
        ("minimal", ["Base", "Pilot"]),
        ("empty", []),
    ],
)
def test_profiles(profile: str, expected: list[str]) -> None:
    assert [component.value for component, _ in components(options([], [f"profile={profile}"]))] == expected


def test_settings_override_files_and_files_the_profile(tmp_path: Path) -> None:
    file = operator(
        tmp_path,
        profile="demo",
        hub="example.org/a",
        components={"egressGateways": [{"name": "istio-egressgateway", "enabled": False}]},
    )
    chosen = options([file], ["hub=example.org/b", "values.global.tag=1.2.3"])
    assert (chosen.profile, chosen.hub, chosen.tag, chosen.egress) == ("demo", "example.org/b", "1.2.3", False)


@pytest.mark.parametrize("place", ["values", "components"])
def test_an_internal_load_balancer(tmp_path: Path, place: str) -> None:
    annotations = {"serviceAnnotations": {INTERNAL: "true"}}
    spec = {
        "values": {"gateways": {"istio-ingressgateway": annotations}},
        "components": {"ingressGateways": [{"name": "istio-ingressgateway", "k8s": annotations}]},
    }
    chosen = options([operator(tmp_path, **{place: spec[place]})], [])
    installed = {
        obj["kind"]: obj
        for component, objs in components(chosen)
        for obj in objs
        if component.value == "IngressGateways"
    }
    assert installed["Service"]["metadata"]["annotations"][INTERNAL] == "true"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("values.pilot.traceSampling=1", "values.pilot.traceSampling: not supported by the sandbox"),
        ("meshConfig.accessLogFile=/tmp/log", "meshConfig.accessLogFile=/tmp/log: not supported"),
        ("meshConfig.accessLogEncoding=XML", "meshConfig.accessLogEncoding=XML: not supported"),
        ("meshConfig.defaultConfig.tracing.zipkin.address=a:1", "tracing.zipkin: not supported"),
        ("meshConfig.defaultConfig.holdApplicationUntilProxyStarts=true", "not supported"),
        ("meshConfig.extensionProviders[1].name=a", "there is no item 0 before it"),
        ("meshConfig.extensionProviders[0].datadog.port=1", "extensionProviders[0].datadog: not supported"),
        ("meshConfig.enableTracing.really=true", "not supported"),
        ("profile=ambient", 'profile "ambient" is not one of'),
        ("components.ingressGateways[0].enabled=perhaps", "not true or false"),
        ("values.gateways.istio-ingressgateway.type=Mesh", "not supported"),
        ("revision=canary", "not supported"),
        ("profile", "PATH=VALUE"),
        (
            f"values.gateways.istio-ingressgateway.serviceAnnotations.{INTERNAL.replace('.', chr(92) + '.')}=true",
            "text",
        ),
    ],
)
def test_what_is_refused(setting: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        options([], [setting])
    assert words in str(refused.value)


LOGGED = [
    ([], ""),
    (["profile=demo"], "accessLogFile: /dev/stdout\n"),
    (["meshConfig.accessLogFile=/dev/stdout"], "accessLogFile: /dev/stdout\n"),
    (["profile=demo", "meshConfig.accessLogFile="], ""),
    (
        ["meshConfig.accessLogFile=/dev/stdout", "meshConfig.accessLogEncoding=JSON"],
        "accessLogEncoding: JSON\naccessLogFile: /dev/stdout\n",
    ),
]


@pytest.mark.parametrize(("settings", "said"), LOGGED)
def test_the_mesh_is_told_of_the_access_log(settings: list[str], said: str) -> None:
    """The demo profile has one (manifests/helm-profiles/demo.yaml); the rest as in shared/real/objects."""
    (mesh,) = (
        obj["data"]["mesh"]
        for _, objs in components(options([], settings))
        for obj in objs
        if (obj["kind"], obj["metadata"]["name"]) == ("ConfigMap", "istio")
    )
    assert mesh.startswith(f"{said}defaultConfig:\n  discoveryAddress: istiod.istio-system.svc:15012\n")


def mesh_of(chosen: Options) -> dict[str, Any]:
    """What the ConfigMap of the mesh says."""
    (text,) = (
        obj["data"]["mesh"]
        for _, objs in components(chosen)
        for obj in objs
        if (obj["kind"], obj["metadata"]["name"]) == ("ConfigMap", "istio")
    )
    found: dict[str, Any] = yaml.safe_load(text)
    return found


COLLECTOR = "jaeger-collector.istio-system.svc.cluster.local"


def test_the_mesh_is_told_of_where_spans_go(tmp_path: Path) -> None:
    """As Istio's page has it (istio.io/latest/docs/tasks/observability/distributed-tracing/jaeger/),
    from a file and by settings; both stay beside the mesh's own."""
    provider = {"name": "jaeger", "opentelemetry": {"port": 4317, "service": COLLECTOR}}
    said = {"enableTracing": True, "defaultConfig": {"tracing": {}}, "extensionProviders": [provider]}
    from_file = mesh_of(options([operator(tmp_path, meshConfig=said)], []))
    path = "meshConfig.extensionProviders[0]"
    settings = (
        f"{path}.name=jaeger",
        f"{path}.opentelemetry.port=4317",
        f"{path}.opentelemetry.service={COLLECTOR}",
        "meshConfig.enableTracing=true",
    )
    assert mesh_of(options([], list(settings))) == from_file
    assert from_file == {**mesh_of(options([], [])), "enableTracing": True, "extensionProviders": [provider]}
    more = ["meshConfig.defaultProviders.tracing[0]=jaeger", "meshConfig.defaultConfig.tracing.sampling=0.5"]
    found = mesh_of(options([], [*settings, *more]))
    assert found["defaultProviders"] == {"metrics": ["prometheus"], "tracing": ["jaeger"]}
    assert found["defaultConfig"]["tracing"] == {"sampling": 0.5}


def test_the_profile_demo_knows_a_jaeger() -> None:
    """manifests/helm-profiles/demo.yaml; of its providers those that are for spans and supported."""
    names = [one["name"] for one in mesh_of(options([], ["profile=demo"]))["extensionProviders"]]
    assert names == ["otel-tracing", "jaeger"]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        options([str(tmp_path / "nothing.yaml")], [])
    other = tmp_path / "other.yaml"
    other.write_text("kind: Service")
    with pytest.raises(FileError, match="not an IstioOperator"):
        options([str(other)], [])


def test_what_a_real_istioctl_reads_of_an_installation() -> None:
    """`analyze` and `x injector list` of a real one take these for granted, and panic without; as on a 1.31.1."""
    installed = {
        (obj["kind"], obj["metadata"]["name"]): obj for _, objs in components(options([], [])) for obj in objs
    }
    injector = installed["ConfigMap", "istio-sidecar-injector"]["data"]
    values = json.loads(injector["values"])
    assert values["sidecarInjectorWebhook"]["enableNamespacesByDefault"] is False
    assert values["global"]["proxy"]["image"] == "proxyv2"
    assert list(yaml.safe_load(injector["config"])["templates"]) == ["sidecar"]
    assert set(installed["ConfigMap", "values"]["data"]) == {"merged-values", "original-values"}
    for name in ("istio-sidecar-injector", "istio-revision-tag-default"):
        labels = installed["MutatingWebhookConfiguration", name]["metadata"]["labels"]
        assert (labels["app"], labels["istio.io/rev"]) == ("sidecar-injector", "default")
    (container,) = installed["Deployment", "istiod"]["spec"]["template"]["spec"]["containers"]
    assert 15014 in [port["containerPort"] for port in container["ports"]]
