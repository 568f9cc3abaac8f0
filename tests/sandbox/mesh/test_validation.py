"""What may be applied, and the words in which the rest is refused: cases/validation.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.mesh import validation
from sandbox.mesh.checks import groups
from sandbox.mesh.istio import LARGEST_REGEX_PROGRAM
from tests.kit.cases import content_of

from .rule_world import RuleWorld, to
from .webhook_world import WebhookCluster

VIRTUAL_SERVICES = "virtualservices.networking.istio.io"
CASES = content_of(Path(__file__).parent / "cases/validation.yaml")
TO_REVIEWS = {"route": [{"destination": {"host": "reviews"}}]}
UNSUPPORTED = {"hosts": ["reviews"], "http": [{**TO_REVIEWS, "retries": {"retryRemoteLocalities": True}}]}
PORT, ENCRYPTED = ({"number": n, "name": p.lower(), "protocol": p} for n, p in ((80, "HTTP"), (443, "HTTPS")))
ENTRY = {
    "hosts": ["other.example"],
    "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    "resolution": "STATIC",
    "endpoints": [{"address": "127.65.1.1"}],
}


def http(rule: Object) -> tuple[str, Object]:
    return "VirtualService", {"hosts": ["reviews"], "http": [rule]}


def server(**fields: Any) -> tuple[str, Object]:
    selector = {"istio": "ingressgateway"}
    return "Gateway", {"selector": selector, "servers": [{"port": PORT, "hosts": ["*"], **fields}]}


def policy(**fields: Any) -> tuple[str, Object]:
    return "DestinationRule", {"host": "a", "trafficPolicy": fields}


def written(what: str, value: Any) -> tuple[str, Object]:
    """Kind and spec of a case."""
    if what == "rule":
        return http(value)
    if what == "http":
        return http({**TO_REVIEWS, **value})
    if what == "virtualService":
        return "VirtualService", {"hosts": ["reviews"], "http": [TO_REVIEWS], **value}
    if what == "server":
        return server(**value)
    if what == "tls":
        return server(port=ENCRYPTED, tls={"mode": "SIMPLE", "credentialName": "page", **value})
    if what == "connectionPool":
        return policy(connectionPool=value)
    if what == "consistentHash":
        return policy(loadBalancer={"consistentHash": {"httpHeaderName": "x-user", **value}})
    if what in ("source", "operation"):
        part = "from" if what == "source" else "to"
        return "AuthorizationPolicy", {"rules": [{part: [{what: value}]}]}
    if what == "rules":
        return "AuthorizationPolicy", {"action": "DENY", "rules": value}
    if what == "egress":
        return "Sidecar", {"egress": [{"hosts": value}]}
    if what == "serviceEntry":
        return "ServiceEntry", {key: field for key, field in {**ENTRY, **value}.items() if field is not None}
    return what, value


def problems(what: str, value: Any) -> list[str]:
    kind, spec = written(what, value)
    return list(validation.find_problems(kind, {"metadata": {"name": "r", "namespace": "shop"}, "spec": spec}))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case)[:100])
def test_what_may_be_applied(case: dict[str, Any]) -> None:
    found = problems(*next(iter(case.items())))
    if "refused" in case:
        assert any(case["refused"] in problem for problem in found), found
    elif "unsupported" in case:
        (problem,) = found
        assert problem.startswith(f"{case['unsupported']}: ")
        assert "supported by the sandbox" in problem
    else:
        assert found == []


def test_what_is_too_large_is_refused() -> None:
    direct = {"directResponse": {"status": 200, "body": {"string": "x" * 1048577}}}
    assert any("must be less than 1MB" in problem for problem in problems("rule", direct))

    def of_uri(regex: str) -> list[str]:
        return problems("http", {"match": [{"uri": {"regex": regex}}]})

    assert of_uri("/" + "a" * 1023) == []
    assert of_uri("/" + "a" * 1024) == ['"uri": regex is too large, max length allowed is 1024']
    assert f"> max program size of {LARGEST_REGEX_PROGRAM}" in of_uri("a{999}" * 100)[0]


def test_where_a_regular_expression_is_written_is_said() -> None:
    said = "error parsing regexp: invalid repetition size: {2000}; Istio uses RE2 style regex-based match"
    matching = problems("http", {"match": [{"uri": {"regex": "/a{2000}"}}]})
    assert matching == [f'"uri": {said} (https://github.com/google/re2/wiki/Syntax)']
    rewriting = problems("http", {"rewrite": {"uriRegexRewrite": {"match": "/a++(x)", "rewrite": r"/\1"}}})
    assert rewriting[0].startswith('"HTTPRewrite.UriRegexRewrite.Match": error parsing regexp')
    sharing = problems("http", {"corsPolicy": {"allowOrigins": [{"regex": "a{1001}"}]}})
    assert sharing[0].startswith('"corsPolicy.allowOrigins": error parsing regexp: invalid repetition size')


def test_groups_of_a_regular_expression_are_counted() -> None:
    assert groups(r"/(?P<a>x)(?:y)(z)\(") == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_envoy_takes_a_regular_expression_larger_than_its_own_limit(shop: RuleWorld) -> None:
    await shop.rules(to("v2", match=[{"uri": {"regex": "/a{500}b{500}"}}]), to("v1"))
    assert (await shop.client.get("/" + "a" * 500 + "b" * 500, "reviews"))[0] == 200
    assert [path for _, path in shop.received("reviews-v2")] != []
    assert not shop.world.mesh.data_plane.refused


def test_every_host_is_for_sidecars_only_beside_a_gateway() -> None:
    assert problems("virtualService", {"hosts": ["*"], "gateways": ["mesh", "gate"]}) == []
    assert problems("virtualService", {"hosts": ["*"], "gateways": ["mesh"]})


HTTP_ONLY = (
    "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the use of only HTTP "
    "attributes in a DENY rule; it is recommended to explicitly specify the port"
)


ALL = "`*/*` host select all resources, no other hosts can be added"
EGRESS = (
    (["./*", "other/*", "~other/a.b"], []),
    (["./a.b", "shop/a.b"], ["duplicated egress host: shop/a.b"]),
    (["shop/*", "./a.b"], ["duplicated egress host: ./a.b"]),
    (["./a.b", "./*"], ["duplicated egress host: ./*"]),
    (["*/*", "./*"], [ALL]),
)


@pytest.mark.parametrize(
    ("kind", "spec", "warned"),
    [
        ("PeerAuthentication", {"selector": {}}, ["workload selector specified without labels"]),
        ("Telemetry", {"selector": {}}, ["workload selector specified without labels"]),
        (
            "Telemetry",
            {"tracing": [{"providers": [{"name": "a"}, {"name": "b"}]}, {}]},
            ["multiple tracing is not currently supported", "multiple providers is not currently supported"],
        ),
        (
            "AuthorizationPolicy",
            {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/a"]}}]}]},
            [HTTP_ONLY],
        ),
        (
            "AuthorizationPolicy",
            {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/a"], "ports": ["80"]}}]}]},
            [],
        ),
        ("AuthorizationPolicy", {"rules": [{"to": [{"operation": {"paths": ["/a"]}}]}]}, []),
        ("AuthorizationPolicy", {"action": "DENY", "rules": [{"from": [{"source": {"ipBlocks": ["::1"]}}]}]}, []),
        (
            "AuthorizationPolicy",
            {"action": "DENY", "rules": [{"from": [{"source": {"trustDomains": ["a"]}}]}]},
            [HTTP_ONLY],
        ),
        *(("Sidecar", {"egress": [{"hosts": hosts}]}, warned) for hosts, warned in EGRESS),
        (
            "Sidecar",
            {"workloadSelector": {}, "egress": [{"hosts": ["./*"]}]},
            ["sidecar: workload selector specified without labels, will be applied to all services in namespace"],
        ),
    ],
)
def test_what_is_warned_of(kind: str, spec: Object, warned: list[str]) -> None:
    metadata = {"name": "r", "namespace": "shop"}
    assert list(validation.find_warnings(kind, {"metadata": metadata, "spec": spec})) == warned


def test_a_dry_run_is_of_policies_only() -> None:
    metadata = {"name": "r", "namespace": "shop", "annotations": {"istio.io/dry-run": "yes"}}
    (said,) = validation.find_problems("AuthorizationPolicy", {"metadata": metadata, "spec": {}})
    why = 'strconv.ParseBool: parsing "yes": invalid syntax'
    assert said == f"shop/r has annotation istio.io/dry-run with invalid value (yes): {why}"
    (said,) = validation.find_problems("PeerAuthentication", {"metadata": metadata, "spec": {}})
    assert said == "shop/r has unsupported annotation istio.io/dry-run, please remove the annotation"


def rule(name: str, spec: Object, revision: str = "") -> Object:
    labels = {"istio.io/rev": revision} if revision else {}
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec}


def test_it_is_in_force_while_the_webhooks_are_there() -> None:
    cluster = WebhookCluster()
    senseless = {"hosts": ["reviews"], "http": [{"route": []}]}
    cluster.create(VIRTUAL_SERVICES, rule("before", senseless), manager="test")
    cluster.configured()
    cluster.istiod_answers()
    with pytest.raises(ApiError) as refused:
        cluster.create(VIRTUAL_SERVICES, rule("after", senseless), manager="test")
    assert refused.value.code == 400
    assert refused.value.message.startswith(
        'admission webhook "validation.istio.io" denied the request: configuration is invalid: '
    )
    with pytest.raises(ApiError, match=r'^admission webhook "rev\.validation\.istio\.io" denied'):
        cluster.create(VIRTUAL_SERVICES, rule("after", senseless, "default"), manager="test")
    cluster.create(VIRTUAL_SERVICES, rule("after", senseless, "canary"), manager="test")


def test_what_the_sandbox_does_not_support_is_refused_also_when_no_webhook_is_asked() -> None:
    cluster = WebhookCluster()
    with pytest.raises(ApiError) as refused:
        cluster.create(VIRTUAL_SERVICES, rule("r", UNSUPPORTED), manager="test")
    why = "spec.http[0].retries.retryRemoteLocalities: not supported by the sandbox"
    assert (refused.value.code, refused.value.message) == (403, f'{VIRTUAL_SERVICES} "r" is forbidden: {why}')
    cluster.configured()
    cluster.istiod_answers()
    with pytest.raises(ApiError) as refused:
        cluster.create(VIRTUAL_SERVICES, rule("r", UNSUPPORTED), manager="test")
    assert refused.value.message == (
        f'admission webhook "validation.istio.io" denied the request: configuration is invalid: {why}'
    )


def test_several_problems_are_a_list() -> None:
    message = validation.refusal("validation.istio.io", ["one", "two"]).message
    assert message.endswith("configuration is invalid: 2 errors occurred:\n\t* one\n\t* two\n")
