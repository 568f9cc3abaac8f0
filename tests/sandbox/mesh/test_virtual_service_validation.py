"""VirtualServices that make no sense, and the words in which istiod refuses them."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.mesh.unreachable_rules import find_unreachable
from sandbox.mesh.virtual_service_validation import find_problems

TO = {"destination": {"host": "reviews"}}
REDIRECT = {"redirect": {"uri": "/"}}


def problems(http: dict[str, Any], **more: Any) -> list[str]:
    return list(find_problems({"hosts": ["reviews"], "http": [http], **more}, "shop"))


def routed(**fields: Any) -> dict[str, Any]:
    return {"route": [TO], **fields}


def matched(**match: Any) -> dict[str, Any]:
    return routed(match=[match])


def setting(**request: Any) -> dict[str, Any]:
    return routed(headers={"request": request})


@pytest.mark.parametrize(
    "http",
    [
        routed(retries={"attempts": 0}),
        routed(retries={"attempts": 3, "retryOn": "5xx,503", "backoff": "10ms", "perTryTimeout": "1s"}),
        routed(rewrite={"uriRegexRewrite": {"match": "^/(.*)$", "rewrite": r"/a/\1"}}),
        {"redirect": {"port": 8443, "scheme": "https"}},
        {"redirect": {"prefixRewrite": "/b"}, "match": [{"uri": {"prefix": "/a"}}]},
        {"directResponse": {"status": 200, "body": {"string": "hello"}}},
        setting(set={"host": "other"}),
        setting(add={"x-share": "50%%"}),
        routed(corsPolicy={"allowOrigins": [{"exact": "a"}], "allowMethods": ["GET"], "maxAge": "24h"}),
        routed(fault={"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 0.0001}}}),
        matched(withoutHeaders={"x": {"regex": "*"}}, headers={":method": {"exact": "GET"}}),
        routed(timeout="2h0.001s"),
        routed(timeout="1.009s"),
        matched(sourceLabels={"app.kubernetes.io/name": "A_1", "version": ""}),
        matched(uri={"prefix": ""}, gateways=["mesh", "ways/gate", "./gate", "gate.ways.svc.cluster.local"]),
    ],
)
def test_what_is_fine(http: dict[str, Any]) -> None:
    assert problems(http) == []


@pytest.mark.parametrize(
    ("http", "words"),
    [
        ({**REDIRECT, "rewrite": {"uri": "/"}}, "cannot contain both rewrite and redirect"),
        ({**REDIRECT, "fault": {"abort": {"httpStatus": 500}}}, "cannot contain both fault and redirect"),
        ({"redirect": {"redirectCode": 301}}, "must specify URI, authority, scheme, or port"),
        ({"redirect": {"uri": "/a", "prefixRewrite": "/b"}}, "only specify one of uri or prefix_rewrite"),
        ({"redirect": {"scheme": "ftp"}}, "invalid redirect scheme"),
        ({"redirect": {"port": 70000}}, "range 1..65535"),
        (
            {"redirect": {"prefixRewrite": "/b"}, "match": [{"uri": {"exact": "/a"}}]},
            "requires all URI matches to use prefix",
        ),
        ({"directResponse": {"status": 100}}, "HTTP status 100 is not in range"),
        ({"directResponse": {"status": 200, "body": {"string": "x" * 1048577}}}, "must be less than 1MB"),
        (routed(retries={"attempts": -1}), "attempts cannot be negative"),
        (routed(retries={"retryOn": "5xx"}), "attempts are set to 0"),
        (routed(retries={"attempts": 1, "retryOn": "999"}), '"999" is not a valid retryOn policy'),
        (routed(retries={"attempts": 1, "backoff": "0s"}), "invalid backoff"),
        (routed(rewrite={}), "rewrite must specify at least one"),
        (
            routed(rewrite={"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}),
            "only contain one",
        ),
        (routed(rewrite={"uriRegexRewrite": {"match": "a"}}), "requires both Rewrite and Match"),
        (routed(rewrite={"uriRegexRewrite": {"match": "a", "rewrite": r"\1"}}), "names a group"),
        (setting(set={":path": "/"}), 'cannot have ":" prefix'),
        (setting(remove=["Host"]), "cannot set Host header"),
        (routed(headers={"response": {"set": {"host": "a"}}}), "cannot set Host header"),
        (setting(set={"a b": "c"}), "not a valid header name"),
        (setting(set={"x": "%START_TIME%"}), "values that Envoy fills in"),
        (setting(set={"x": "a\nb"}), "is invalid"),
        (
            routed(rewrite={"authority": "a"}, headers={"request": {"set": {":authority": "b"}}}),
            "authority header cannot be set multiple times",
        ),
        (routed(corsPolicy={"allowOrigins": [{}]}), "not a valid match type for CORS"),
        (routed(corsPolicy={"allowOrigins": [{"regex": "("}]}), "error parsing regexp"),
        (routed(corsPolicy={"allowMethods": ["FETCH"]}), '"FETCH" is not a supported HTTP method'),
        (routed(corsPolicy={"exposeHeaders": ["a b"]}), "not a valid header name"),
        (routed(corsPolicy={"maxAge": "1.5s"}), "accurate only to seconds"),
        (routed(fault={"abort": {"grpcStatus": "NO_SUCH"}}), 'gRPC status "NO_SUCH" is not supported'),
        (routed(fault={"delay": {"fixedDelay": "1s", "percent": 101}}), "percent 101 is not in range"),
        ({"route": [{"destination": {"host": "a_b"}}]}, 'domain name "a_b" invalid'),
        ({"route": [{"destination": {"host": "a", "port": {"number": 0}}}]}, "range 1..65535"),
        ({"route": [{**TO, "headers": {"request": {"set": {"a b": "c"}}}}]}, "not a valid header name"),
        (matched(headers={"a b": {"exact": "c"}}), "not a valid header name"),
        (matched(headers={"uri": {"exact": "c"}}), "a field of its own"),
        (matched(method={"prefix": ""}), "prefix string match should not be empty"),
        (matched(uri={"regex": ""}), "regex string match should not be empty"),
        (matched(port=70000), "range 1..65535"),
        (matched(gateways=["/gate"]), "cannot be empty"),
        (matched(gateways=["a_b/gate"]), "invalid value for namespace"),
        (routed(timeout="1.0005s"), "invalid timeout: only durations to ms precision are supported"),
        (routed(timeout="0.0009s"), "invalid timeout: duration must be greater than 1ms"),
        (matched(sourceLabels={"a b": "c"}), 'invalid tag key: "a b"'),
        (matched(sourceLabels={"a": "b c"}), 'invalid tag value: "b c"'),
        (matched(sourceNamespace="a_b"), "sourceNamespace match a_b is invalid"),
        (
            matched(headers={"@request.auth.claims.sub": {"exact": "a"}}),
            "spec.http[0].match[0].headers[@request.auth.claims.sub]: claims of tokens are not supported",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(http: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in problems(http))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"hosts": ["*.example", "a.example"]}, "duplicate hosts in virtual service: *.example & a.example"),
        ({"gateways": ["a_b"]}, "invalid value for gateway name"),
        ({"exportTo": [".", "shop"]}, "duplicate entries in exportTo for entry shop"),
        ({"exportTo": ["shop", "."]}, "duplicate entries in exportTo: . and current namespace shop"),
        ({"exportTo": ["*", "other"]}, "cannot have both public (*) and non-public"),
        ({"exportTo": ["~"]}, "exportTo ~ (none) is not allowed"),
        ({"exportTo": ["a_b"]}, "valid DNS 1123 label"),
    ],
)
def test_of_the_whole_rule(more: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in problems(routed(), **more))


def test_every_host_is_for_sidecars_only_beside_a_gateway() -> None:
    assert problems(routed(), hosts=["*"], gateways=["mesh", "gate"]) == []
    assert problems(routed(), hosts=["*"], gateways=["mesh"])


A, B = {"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}


@pytest.mark.parametrize(
    ("rules", "warnings"),
    [
        ([routed(match=[A]), routed(match=[B]), routed()], []),
        ([routed(), routed(match=[A, B])], ["rule #1 not used (route without matches defined before)"]),
        ([routed(), routed(name="last")], ['rule "last" not used (only the last rule can have no matches)']),
        (
            [routed(match=[A]), routed(match=[B, {"name": "again", **A}])],
            ['rule #1 match "again" is not used (duplicate/overlapping match in rule #0)'],
        ),
        (
            [routed(name="first", match=[A]), routed(match=[A])],
            [
                'rule #1 match #0 is not used (duplicate/overlapping match in rule "first")',
                "rule #1 not used (all matches used by prior rules)",
            ],
        ),
        (
            [routed(match=[A, A])],
            ["rule #0 match #1 is not used (duplicate/overlapping match in rule #0)"],
        ),
    ],
)
def test_what_no_request_gets_to_is_warned_of(rules: list[dict[str, Any]], warnings: list[str]) -> None:
    assert [what for _, what in find_unreachable({"http": rules})] == warnings
