"""What Telemetries and the mesh's ConfigMap say of a workload's spans and its access log: cases/telemetry.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.core.cluster import Object
from sandbox.mesh import mesh_config, telemetry
from sandbox.mesh.extension_providers import Provider

CASES = yaml.safe_load((Path(__file__).parent / "cases/telemetry.yaml").read_text(encoding="utf-8"))
SERVICE = "zipkin.istio-system.svc.cluster.local"


def written(said: dict[str, Any], number: int) -> Object:
    spec = {key: said[key] for key in ("tracing", "accessLogging") if key in said}
    selector = {"selector": {"matchLabels": {"app": said["app"]}}} if "app" in said else {}
    return {"metadata": {"name": f"t{number}", "namespace": said["in"]}, "spec": {**selector, **spec}}


@pytest.mark.parametrize("case", CASES, ids=[case["of"] for case in CASES])
def test_what_they_say_together(case: dict[str, Any]) -> None:
    mesh = mesh_config.of(case.get("mesh") or {})
    all_there_are = [written(said, number) for number, said in enumerate(case.get("telemetries") or ())]
    concerned = telemetry.concerning(all_there_are, "shop", {"app": "one", "version": "v1"})
    for mode in ("CLIENT", "SERVER"):
        found = telemetry.traced(concerned, mode, mesh)  # type: ignore[arg-type]
        for field, value in (case.get(mode.lower()) or {}).items():
            assert getattr(found, field) == value, (mode, field)
    if "log" in case:
        assert telemetry.access_log(concerned, mesh).file == case["log"]


def test_a_log_that_a_telemetry_asks_for_is_as_the_mesh_writes_it() -> None:
    """Of the provider `envoy` (telemetryAccessLog): its format is the ConfigMap's."""
    mesh = mesh_config.of({"accessLogEncoding": "JSON", "accessLogFormat": '{"a": "%PROTOCOL%"}'})
    concerned = (written({"in": "shop", "accessLogging": [{"providers": [{"name": "envoy"}]}]}, 0),)
    assert telemetry.access_log(concerned, mesh) == mesh_config.AccessLog(
        "/dev/stdout", "JSON", '{"a": "%PROTOCOL%"}'
    )


# Extension providers (pkg/config/validation/agent/extensionprovider.go)


def test_providers_are_found_by_their_names_in_any_case() -> None:
    """fetchProvider."""
    http = {"path": "/v1/traces", "timeout": "1.5s"}
    mesh = mesh_config.of(
        {
            "extensionProviders": [
                {"name": "zipkin", "zipkin": {"service": SERVICE, "port": 9411}},
                {"name": "Otel", "opentelemetry": {"service": f"a/{SERVICE}", "port": 4318, "http": http}},
            ]
        }
    )
    assert mesh.provider("ZIPKIN") == Provider("zipkin", "zipkin", SERVICE, 9411)
    assert mesh.provider("otel") == Provider("Otel", "opentelemetry", f"a/{SERVICE}", 4318, "/v1/traces", "1.5s")
    assert mesh.provider("envoy") is None


FINE: dict[str, Any] = {"service": SERVICE, "port": 9411}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"zipkin": FINE}, "invalid extension provider : empty extension provider name"),
    ({"name": "a"}, "invalid extension provider a: it has to have one of zipkin, opentelemetry"),
    ({"name": "a", "zipkin": FINE, "opentelemetry": FINE}, "it has to have one of"),
    ({"name": "a", "zipkin": {"port": 1}}, "invalid extension provider a: service must not be empty"),
    (
        {"name": "a", "zipkin": {**FINE, "port": 0}},
        "provider a: invalid service port: port number 0 must be in the range 1..65535",
    ),
    ({"name": "a", "opentelemetry": {**FINE, "port": 70000}}, "provider a: port number 70000 must be in the range"),
    ({"name": "a", "zipkin": {**FINE, "service": "a b"}}, "invalid service fmt a b: a b is not a valid IP"),
    (
        {"name": "a", "zipkin": {**FINE, "service": "/b"}},
        "config namespace and dnsName in host entry cannot be empty",
    ),
    ({"name": "a", "zipkin": {**FINE, "service": "a_/b"}}, 'invalid namespace value "a_" in sidecar'),
    ({"name": "a", "zipkin": {**FINE, "service": "a/b_"}}, 'domain name "b_" invalid'),
    ({"name": "a", "zipkin": {**FINE, "port": "x"}}, "extensionProviders[0].zipkin.port: 'x' is not a number"),
    ({"name": "a", "zipkin": {**FINE, "service": 5}}, "extensionProviders[0].zipkin.service: 5 is not a text"),
    (
        {"name": "a", "zipkin": {**FINE, "maxTagLength": 5}},
        "extensionProviders[0].zipkin.maxTagLength: not supported by the sandbox",
    ),
    ({"name": "a", "opentelemetry": {**FINE, "grpc": {}}}, "[0].opentelemetry.grpc: not supported by the sandbox"),
    (
        {"name": "a", "opentelemetry": {**FINE, "http": {"path": "/", "headers": []}}},
        "[0].opentelemetry.http.headers: not supported by the sandbox",
    ),
    ({"name": "a", "opentelemetry": {**FINE, "http": {"path": "a"}}}, "[0].opentelemetry.http.path: it has to"),
    (
        {"name": "a", "opentelemetry": {**FINE, "http": {"path": "/", "timeout": "soon"}}},
        "[0].opentelemetry.http.timeout: ",
    ),
    (
        {"name": "a", "datadog": FINE},
        "extensionProviders[0].datadog: not supported by the sandbox (supported: zipkin,",
    ),
]


@pytest.mark.parametrize(("provider", "said"), WRONG)
def test_a_provider_that_is_wrong(provider: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        mesh_config.of({"extensionProviders": [provider]})


def test_no_two_providers_have_one_name() -> None:
    twice = [{"name": "a", "zipkin": FINE}] * 2
    with pytest.raises(ValueError, match="invalid extension provider a: duplicate extension provider name a"):
        mesh_config.of({"extensionProviders": twice})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"extensionProviders": {}}, "extensionProviders: not a list"),
        ({"extensionProviders": ["a"]}, "extensionProviders[0]: not an object"),
        ({"enableTracing": "yes"}, "enableTracing: 'yes' is not true or false"),
        ({"defaultProviders": {"tracing": "a"}}, "defaultProviders.tracing: not a list of names"),
        ({"defaultProviders": {"tracing": ["a", "b"]}}, "not supported by the sandbox: more than one"),
        ({"defaultProviders": {"metrics": []}}, "defaultProviders.metrics: not supported by the sandbox"),
        ({"defaultProviders": {"accessLogging": ["otel"]}}, "otel: not supported by the sandbox, which has envoy"),
        ({"defaultConfig": {"tracing": {"zipkin": {}}}}, "defaultConfig.tracing.zipkin: not supported"),
        ({"defaultConfig": {"tracing": {"sampling": "x"}}}, "defaultConfig.tracing.sampling: 'x' is not a number"),
        ({"defaultConfig": {"concurrency": 1}}, "defaultConfig.concurrency: not supported by the sandbox"),
        ({"defaultConfig": []}, "defaultConfig: not supported by the sandbox"),
    ],
)
def test_a_mesh_that_cannot_be(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        mesh_config.of(config)


@pytest.mark.parametrize(
    ("tracing", "percent"), [({}, 1), ({"sampling": 0}, 1), ({"sampling": 0.5}, 0.5), ({"sampling": 200}, 1)]
)
def test_how_many_requests_are_traced_where_no_telemetry_says_it(tracing: dict[str, Any], percent: float) -> None:
    """proxyConfigSamplingValue; PILOT_TRACE_SAMPLING is 1."""
    assert mesh_config.of({"defaultConfig": {"tracing": tracing}}).traced_percent == percent
