"""Who is asked, where, and how they are labelled: by the rules of a configuration.

`ISTIO` is what the add-on of Istio 1.31.1 has for pods and services (samples/addons/prometheus.yaml of the release:
all its jobs but those that ask nodes and the API server), rule by rule; the labels that Prometheus discovers are
those of its documentation (configuration, kubernetes_sd_config).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.prometheus.configuration import BadConfig, Job, read
from sandbox.prometheus.expressions import duration, milliseconds
from sandbox.prometheus.scraping import Target
from sandbox.prometheus.targets import Targets

POD, ASKED = "__meta_kubernetes_pod", "__meta_kubernetes_pod_annotation_prometheus_io"


def _rule(action: str, source: str, target: str = "", regex: str = "", replacement: str = "") -> dict[str, Any]:
    given = {"regex": regex, "target_label": target, "replacement": replacement}
    sources = {"source_labels": source.split()} if source else {}
    return {"action": action, **sources, **{name: value for name, value in given.items() if value}}


def _rules(wanted: str) -> list[dict[str, Any]]:
    return [
        _rule("keep", f"{ASKED}_{wanted}", regex="true"),
        *([_rule("drop", f"{ASKED}_scrape_slow", regex="true")] if wanted == "scrape" else []),
        _rule("replace", f"{ASKED}_scheme", "__scheme__", "(https?)"),
        _rule("replace", f"{ASKED}_path", "__metrics_path__", "(.+)"),
        _rule(
            *("replace", f"{ASKED}_port {POD}_ip", "__address__"),
            *(r"(\d+);(([A-Fa-f0-9]{1,4}::?){1,7}[A-Fa-f0-9]{1,4})", "[$2]:$1"),
        ),
        _rule("replace", f"{ASKED}_port {POD}_ip", "__address__", r"(\d+);((([0-9]+?)(\.|$)){4})", "$2:$1"),
        _rule("labelmap", "", regex=f"{ASKED}_param_(.+)", replacement="__param_$1"),
        _rule("labelmap", "", regex=f"{POD}_label_(.+)"),
        _rule("replace", "__meta_kubernetes_namespace", "namespace"),
        _rule("replace", f"{POD}_name", "pod"),
        _rule("drop", f"{POD}_phase", regex="Pending|Succeeded|Failed|Completed"),
        _rule("replace", f"{POD}_node_name", "node"),
    ]


SERVICE = "__meta_kubernetes_service"
OF_SERVICE = f"{SERVICE}_annotation_prometheus_io"


def _service_rules(wanted: str) -> list[dict[str, Any]]:
    return [
        _rule("keep", f"{OF_SERVICE}_{wanted}", regex="true"),
        *([_rule("drop", f"{OF_SERVICE}_scrape_slow", regex="true")] if wanted == "scrape" else []),
        _rule("replace", f"{OF_SERVICE}_scheme", "__scheme__", "(https?)"),
        _rule("replace", f"{OF_SERVICE}_path", "__metrics_path__", "(.+)"),
        _rule("replace", f"__address__ {OF_SERVICE}_port", "__address__", r"(.+?)(?::\d+)?;(\d+)", "$1:$2"),
        _rule("labelmap", "", regex=f"{OF_SERVICE}_param_(.+)", replacement="__param_$1"),
        _rule("labelmap", "", regex=f"{SERVICE}_label_(.+)"),
        _rule("replace", "__meta_kubernetes_namespace", "namespace"),
        _rule("replace", f"{SERVICE}_name", "service"),
        _rule("replace", f"{POD}_node_name", "node"),
    ]


PROBED = [
    _rule("keep", f"{OF_SERVICE}_probe", regex="true"),
    {"source_labels": ["__address__"], "target_label": "__param_target"},
    {"replacement": "blackbox", "target_label": "__address__"},
    {"source_labels": ["__param_target"], "target_label": "instance"},
    _rule("labelmap", "", regex=f"{SERVICE}_label_(.+)"),
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": [f"{SERVICE}_name"], "target_label": "service"},
]


def _job(name: str, rules: list[dict[str, Any]], role: str = "pod", **more: Any) -> dict[str, Any]:
    discovery = [{"role": role}]
    return {
        "job_name": name,
        "honor_labels": True,
        "kubernetes_sd_configs": discovery,
        "relabel_configs": rules,
        **more,
    }


ISTIO = {
    "global": {"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": "1m"},
    "scrape_configs": [
        _job("kubernetes-pods", _rules("scrape")),
        _job("kubernetes-pods-slow", _rules("scrape_slow"), scrape_interval="5m", scrape_timeout="30s"),
        _job("kubernetes-service-endpoints", _service_rules("scrape"), "endpoints"),
        _job("kubernetes-services", PROBED, "service", metrics_path="/probe", params={"module": ["http_2xx"]}),
    ],
}
SAMPLE = Path(__file__).parents[3] / "sandbox" / "samples" / "addons" / "prometheus.yaml"
OURS = next(
    one["data"]["prometheus.yml"] for one in yaml.safe_load_all(SAMPLE.read_text()) if one["kind"] == "ConfigMap"
)
SCRAPE = {"prometheus.io/scrape": "true"}
SIDECAR = {**SCRAPE, "prometheus.io/port": "15020", "prometheus.io/path": "/stats/prometheus"}
"""As istiod annotates a pod that it injects (shared/real/objects)."""


def _pod(annotations: dict[str, str], *ports: int, phase: str = "Running", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web-1",
            "uid": "1",
            "namespace": "shop",
            "annotations": annotations,
            "labels": {"app.kubernetes.io/name": "web", **labels},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": True}],
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [
                {
                    "name": "main",
                    "image": "web:1",
                    "ports": [{"containerPort": port, "name": "http"} for port in ports],
                }
            ],
        },
        "status": {"phase": phase, "podIP": "127.9.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def targets(config: str, *pods: dict[str, Any], **others: list[dict[str, Any]]) -> list[Target]:
    """But for what asks Prometheus itself."""
    there = {"pods": list(pods), **others}
    found = Targets(read(config).jobs, lambda resource: there.get(resource, []))()
    return [one for one in found if one.labels["job"] != "prometheus"]


@pytest.mark.parametrize("config", [yaml.safe_dump(ISTIO), OURS], ids=["istio", "ours"])
@pytest.mark.parametrize(
    ("annotations", "ports", "urls"),
    [
        (SIDECAR, [80], ["15020/stats/prometheus"]),
        ({**SCRAPE, "prometheus.io/port": "nine"}, [8080], ["8080/metrics"]),
        (SCRAPE, [8080, 9090], ["8080/metrics", "9090/metrics"]),
        ({"prometheus.io/scrape": "yes"}, [80], []),
        ({}, [80], []),
    ],
)
def test_pods_that_are_annotated_for_it_are_asked(
    config: str, annotations: dict[str, str], ports: list[int], urls: list[str]
) -> None:
    assert [one.url for one in targets(config, _pod(annotations, *ports))] == [
        f"http://127.9.0.1:{url}" for url in urls
    ]


@pytest.mark.parametrize("config", [yaml.safe_dump(ISTIO), OURS], ids=["istio", "ours"])
def test_what_a_pod_is_labelled_with_and_that_one_that_is_over_is_none(config: str) -> None:
    (one,) = targets(config, _pod(SIDECAR, version="v1", empty=""))
    assert one.labels == {
        "app_kubernetes_io_name": "web",
        "version": "v1",
        "namespace": "shop",
        "pod": "web-1",
        "node": "node-1",
        "job": "kubernetes-pods",
        "instance": "127.9.0.1:15020",
    }
    assert one.honor_labels
    for phase in ("Pending", "Succeeded", "Failed"):
        assert not targets(config, _pod(SIDECAR, phase=phase))


def test_parameters_schemes_and_slow_pods_as_istios_add_on_has_them() -> None:
    config = yaml.safe_dump(ISTIO)
    asked = {**SCRAPE, "prometheus.io/param_module": "a b", "prometheus.io/port": "1"}
    assert targets(config, _pod(asked))[0].url == "http://127.9.0.1:1/metrics?module=a+b"
    assert targets(config, _pod({**SIDECAR, "prometheus.io/scheme": "https"}))[0].url.startswith("https://")
    (slow,) = targets(config, _pod({**SIDECAR, "prometheus.io/scrape-slow": "true"}))
    assert (slow.labels["job"], slow.interval, slow.timeout) == ("kubernetes-pods-slow", 300.0, 30.0)
    (usual,) = targets(config, _pod(SIDECAR))
    assert (usual.interval, usual.timeout) == (15.0, 10.0)


def test_what_is_known_of_a_pod_before_the_rules() -> None:
    config = yaml.safe_dump({"scrape_configs": [_job("all", [])]})
    (one,) = targets(config, _pod({"a/b": "c"}, 80))
    assert one.labels == {"job": "all", "instance": "127.9.0.1:80"}
    assert one.discovered == {
        "job": "all",
        "__address__": "127.9.0.1:80",
        "__scheme__": "http",
        "__metrics_path__": "/metrics",
        "__scrape_interval__": "1m",
        "__scrape_timeout__": "10s",
        "__meta_kubernetes_namespace": "shop",
        **{
            f"{POD}_{name}": value
            for name, value in {
                "name": "web-1",
                "uid": "1",
                "ip": "127.9.0.1",
                "node_name": "node-1",
                "phase": "Running",
                "ready": "true",
                "controller_kind": "ReplicaSet",
                "controller_name": "web",
                "label_app_kubernetes_io_name": "web",
                "labelpresent_app_kubernetes_io_name": "true",
                "annotation_a_b": "c",
                "annotationpresent_a_b": "true",
                "container_name": "main",
                "container_image": "web:1",
                "container_init": "false",
                "container_port_number": "80",
                "container_port_name": "http",
                "container_port_protocol": "TCP",
            }.items()
        },
    }


def test_targets_of_a_pod_that_did_not_change_are_not_made_anew() -> None:
    pods = [_pod(SCRAPE, 80)]
    asked = Targets(read(OURS).jobs, lambda resource: pods)
    first = asked()[-1]
    assert asked()[-1] is first
    pods[0] = _pod(SCRAPE, 81)
    assert asked()[-1].url == "http://127.9.0.1:81/metrics"
    pods.clear()
    assert [one.url for one in asked()] == ["http://localhost:9090/metrics"]


def _service(annotations: dict[str, str], *ports: int) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "uid": "s", "labels": {"team": "a"}, "annotations": annotations}
    spec = {"clusterIP": "10.0.0.1", "ports": [{"name": f"p{port}", "port": port} for port in ports]}
    return {"metadata": metadata, "spec": spec}


def _endpoints(*ports: int, ready: bool = True) -> dict[str, Any]:
    """With the pod behind it, and an address that is none's."""
    target = {"kind": "Pod", "namespace": "shop", "name": "web-1"}
    addresses = [{"ip": "127.9.0.1", "nodeName": "node-1", "targetRef": target}, {"ip": "127.9.0.9"}]
    said = {"ports": [{"name": "web", "port": port} for port in ports]}
    subset = {("addresses" if ready else "notReadyAddresses"): addresses, **said}
    return {"metadata": {"name": "web", "namespace": "shop", "uid": "e"}, "subsets": [subset]}


def test_what_is_behind_a_service_that_is_annotated_for_it_is_asked() -> None:
    config = yaml.safe_dump(ISTIO)
    there = {"endpoints": [_endpoints(8080)], "services": [_service({**SCRAPE, "prometheus.io/port": "9102"}, 80)]}
    assert [(one.url, one.labels) for one in targets(config, _pod({}, 8080, 9102), **there)] == [
        (f"http://{address}:9102/metrics", {"instance": f"{address}:9102", "job": "kubernetes-service-endpoints",
         "namespace": "shop", "service": "web", "team": "a", **node})
        for address, node in (("127.9.0.1", {"node": "node-1"}), ("127.9.0.9", {}))
    ]  # fmt: skip
    assert not targets(config, _pod({}, 8080), **{**there, "services": [_service({}, 80)]})


def test_a_service_that_is_to_be_probed_is_a_parameter_of_who_probes() -> None:
    (one,) = targets(yaml.safe_dump(ISTIO), services=[_service({"prometheus.io/probe": "true"}, 80)])
    assert one.url == "http://blackbox/probe?module=http_2xx&target=web.shop.svc%3A80"
    assert one.labels == {
        "instance": "web.shop.svc:80",
        "job": "kubernetes-services",
        "namespace": "shop",
        "service": "web",
        "team": "a",
    }


def test_what_is_known_behind_a_service_before_the_rules() -> None:
    """The port that the service leads to, an address without a pod, and the pod's other port."""
    config = yaml.safe_dump({"scrape_configs": [_job("all", [], "endpoints")]})
    there = {"endpoints": [_endpoints(80, ready=False)], "services": [_service({}, 80)]}
    served, bare, other = (one.discovered for one in targets(config, _pod({}, 80, 9102), **there))
    assert [one["__address__"] for one in (served, bare, other)] == [
        "127.9.0.1:80",
        "127.9.0.9:80",
        "127.9.0.1:9102",
    ]
    for one in (served, bare, other):
        assert (one[f"{SERVICE}_name"], one["__meta_kubernetes_endpoints_name"]) == ("web", "web")
        assert (one[f"{SERVICE}_cluster_ip"], one[f"{SERVICE}_type"]) == ("10.0.0.1", "ClusterIP")
    endpoint = "__meta_kubernetes_endpoint"
    assert {
        name.removeprefix(endpoint): value for name, value in served.items() if name.startswith(f"{endpoint}_")
    } == {
        "_ready": "false",
        "_port_name": "web",
        "_port_protocol": "TCP",
        "_node_name": "node-1",
        "_address_target_kind": "Pod",
        "_address_target_name": "web-1",
    }
    assert [one.get(f"{POD}_container_port_number") for one in (served, bare, other)] == ["80", None, "9102"]
    assert f"{POD}_name" not in bare


def test_who_is_behind_a_service_is_made_anew_when_one_of_its_pods_has_changed() -> None:
    there = {"pods": [_pod({}, 80)], "endpoints": [_endpoints(80)], "services": [_service({}, 80)]}
    config = yaml.safe_dump(
        {"scrape_configs": [_job("all", [_rule("labelmap", "", regex=f"{POD}_label_(v.*)")], "endpoints")]}
    )
    asked = Targets(read(config).jobs, lambda resource: there[resource])
    first = asked()
    assert asked()[0] is first[0]
    there["pods"][0] = _pod({}, 80, version="v2")
    assert asked()[0].labels["version"] == "v2"
    there["services"].clear()
    alone = asked()
    assert asked()[0] is alone[0]


WRITTEN = "static_configs: [{targets: ['a:1', 'b:2'], labels: {x: y, z: w}}]"


@pytest.mark.parametrize(
    ("rule", "labels"),
    [
        ("{target_label: x, replacement: new}", {"x": "new", "z": "w"}),
        ("{source_labels: [x, z], target_label: x}", {"x": "y;w", "z": "w"}),
        ("{source_labels: [x, z], separator: '-', target_label: x}", {"x": "y-w", "z": "w"}),
        ("{source_labels: [x], regex: '(.)', target_label: 'got_$1', replacement: '${1}!'}",
         {"got_y": "y!", "x": "y", "z": "w"}),
        # The whole is to match, and what does not is left as it is.
        ("{source_labels: [job], regex: mad, target_label: x}", {"x": "y", "z": "w"}),
        ("{source_labels: [none], target_label: x}", {"z": "w"}),
        ("{action: labelmap, regex: '(x|z)', replacement: 'of_$1'}",
         {"x": "y", "z": "w", "of_x": "y", "of_z": "w"}),
        ("{action: Keep, source_labels: [x], regex: y}", {"x": "y", "z": "w"}),
        ("{action: drop, source_labels: [x], regex: yes}", {"x": "y", "z": "w"}),
    ],
)  # fmt: skip
def test_what_a_rule_makes_of_labels(rule: str, labels: dict[str, str]) -> None:
    """As https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config says."""
    found = targets(f"scrape_configs: [{{job_name: made, {WRITTEN}, relabel_configs: [{rule}]}}]")
    assert [one.labels for one in found] == [
        {"job": "made", "instance": address, **labels} for address in ("a:1", "b:2")
    ]


@pytest.mark.parametrize(
    "rule",
    [
        *("{action: keep, source_labels: [x], regex: z}", "{action: drop, source_labels: [x], regex: .}"),
        "{target_label: __address__, replacement: ''}",
    ],
)
def test_what_the_rules_drop_is_not_asked(rule: str) -> None:
    assert not targets(f"scrape_configs: [{{job_name: made, {WRITTEN}, relabel_configs: [{rule}]}}]")


def test_several_that_come_to_the_same_are_asked_once() -> None:
    rule = "{target_label: __address__, replacement: 'c:3'}"
    (one,) = targets(
        f"scrape_configs: [{{job_name: made, {WRITTEN}, params: {{m: [a, b]}}, relabel_configs: [{rule}]}}]"
    )
    assert one.url == "http://c:3/metrics?m=a&m=b"


def test_times_are_those_of_all_unless_a_job_has_its_own() -> None:
    """config.go: without an interval a minute; a timeout is at most the interval, where it is not said."""
    said = (
        "scrape_configs: [{job_name: a}, {job_name: b, scrape_interval: 1m30s}, {job_name: c, scrape_interval: 2s}]"
    )
    found = {job.name: (job.interval, job.timeout) for job in read(said).jobs}
    assert found == {"a": (60.0, 10.0), "b": (90.0, 10.0), "c": (2.0, 2.0)}
    assert read(f"global: {{scrape_interval: 5s}}\n{said}").jobs[0] == Job("a", 5.0, 5.0)
    assert not read("").jobs


def test_jobs_of_what_is_not_here_are_left_out_and_told() -> None:
    """The add-on has three, with tokens."""
    of_nodes = "{job_name: nodes, scheme: https, tls_config: {}, kubernetes_sd_configs: [{role: node}]}"
    of_api = "{job_name: api, scheme: https, bearer_token_file: t, kubernetes_sd_configs: [{role: endpoints}]}"
    found = read(f"scrape_configs: [{of_nodes}, {of_api}, {{job_name: b}}]")
    assert [job.name for job in found.jobs] == ["b"]
    assert found.left_out == {"nodes": "there is no discovery of role node", "api": "it asks by HTTPS"}


NOT_HERE = "not supported by the sandbox's Prometheus"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[", "yaml: "),
        ("- a", "yaml: "),
        ("remote_write: []", f"remote_write: {NOT_HERE}"),
        ("global: {external_labels: {}}", f"global.external_labels: {NOT_HERE}"),
        ("global: {scrape_interval: 1s, scrape_timeout: 2s}", "global scrape timeout greater than scrape interval"),
        ("global: {scrape_interval: soon}", 'not a valid duration string: "soon"'),
        ("rule_files: [/etc/config/rules]", f"rule_files: the rules in /etc/config/rules: {NOT_HERE}"),
    ],
)
def test_what_is_refused_and_how_that_is_said(config: str, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        read(config, lambda file: "groups: [{name: a}]")
    assert said in str(refused.value)
    assert not read("rule_files: [/etc/config/rules]", lambda file: "{}\n").jobs


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("", "job_name is empty"),
        ("job_name: b", 'found multiple scrape configs with job name "b"'),
        ("job_name: a, metric_relabel_configs: []", f"scrape_configs[a].metric_relabel_configs: {NOT_HERE}"),
        ("job_name: a, scheme: https", f"scrape_configs[a]: HTTPS: {NOT_HERE}"),
        ("job_name: a, kubernetes_sd_configs: [{role: pods}]", 'unknown Kubernetes SD role "pods"'),
        (
            "job_name: a, kubernetes_sd_configs: [{role: pod, namespaces: {}}]",
            f"scrape_configs[a].kubernetes_sd_configs.namespaces: {NOT_HERE}",
        ),
        (
            "job_name: a, scrape_interval: 1s, scrape_timeout: 2s",
            'scrape timeout greater than scrape interval for scrape config with job name "a"',
        ),
    ],
)
def test_a_job_that_is_refused_is_named(job: str, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        read(f"scrape_configs: [{{job_name: b}}, {{{job}}}]")
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{action: hashmod}", f"the action hashmod: {NOT_HERE}, which has replace, keep, drop, labelmap"),
        ("{modulus: 2}", f"modulus: {NOT_HERE}"),
        ("{target_label: __scrape_interval__}", f"target_label __scrape_interval__: {NOT_HERE}"),
        ("{}", "relabel configuration for replace action requires 'target_label' value"),
        ("{target_label: a, regex: '('}", "error parsing regexp"),
        ("{target_label: a, source_labels: b}", "source_labels is no list of names"),
        ("[]", "it is no rule"),
    ],
)
def test_a_rule_that_is_refused_is_named(rule: str, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        read(f"scrape_configs: [{{job_name: a, relabel_configs: [{{target_label: b}}, {rule}]}}]")
    assert str(refused.value).startswith("scrape_configs[a].relabel_configs[1]: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("written", ["1ms", "15s", "1m", "1m30s", "90d", "12w", "1y", "1d12h", "2h1s"])
def test_a_duration_is_written_as_it_was(written: str) -> None:
    assert duration(milliseconds(written)) == written
