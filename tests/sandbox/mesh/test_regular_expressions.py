"""Which regular expressions a rule may hold: those that Envoy takes, which are RE2's and not Python's."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.mesh.checks import groups
from sandbox.mesh.istio import LARGEST_REGEX_PROGRAM
from sandbox.mesh.virtual_service_validation import find_problems

from .rule_world import RuleWorld, to

SYNTAX = "Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)"


def problems(**fields: Any) -> list[str]:
    http = {"route": [{"destination": {"host": "reviews"}}], **fields}
    return list(find_problems({"hosts": ["reviews"], "http": [http]}, "shop"))


def by_uri(text: str) -> list[str]:
    return problems(match=[{"uri": {"regex": text}}])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/a{2000}", "invalid repetition size: {2000}"),
        ("/a++", "bad repetition operator: ++"),
        (r"/a\Z", r"invalid escape sequence: \Z"),
        ("(?P<n>x)(?P=n)", "invalid perl operator: (?P"),
        (r"/\u0041", r"invalid escape sequence: \u"),
        ("(?!a)b", "invalid perl operator: (?!"),
        ("/(", "missing ): /("),
        ("/a\\", "trailing \\"),
    ],
)
def test_what_re2_refuses_is_refused(text: str, why: str) -> None:
    assert by_uri(text) == [f'"uri": error parsing regexp: {why}; {SYNTAX}']


@pytest.mark.parametrize(
    "text",
    [r"/\pN+", r"/a\z", r"/\Qa.b\E", r"/\x{41}", "/a(?i)bc", "(?U)/a.*", "/[(?!]x", "/a{1000}", "/" + "a" * 1023],
)
def test_what_re2_takes_may_be_used(text: str) -> None:
    assert by_uri(text) == []


def test_where_it_is_written_is_said() -> None:
    rewriting = problems(rewrite={"uriRegexRewrite": {"match": "/a++(x)", "rewrite": r"/\1"}})
    assert rewriting[0].startswith('"HTTPRewrite.UriRegexRewrite.Match": error parsing regexp')
    sharing = problems(corsPolicy={"allowOrigins": [{"regex": "a{1001}"}]})
    assert sharing[0].startswith('"corsPolicy.allowOrigins": error parsing regexp: invalid repetition size')


def test_one_that_is_too_long_or_compiles_to_too_much_is_refused() -> None:
    assert by_uri("/" + "a" * 1024) == ['"uri": regex is too large, max length allowed is 1024']
    assert f"> max program size of {LARGEST_REGEX_PROGRAM}" in by_uri("a{999}" * 100)[0]


def test_groups_are_counted() -> None:
    assert groups(r"/(?P<a>x)(?:y)(z)\(") == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_envoy_takes_what_is_larger_than_its_own_limit(shop: RuleWorld) -> None:
    await shop.rules(to("v2", match=[{"uri": {"regex": "/a{500}b{500}"}}]), to("v1"))
    assert (await shop.client.get("/" + "a" * 500 + "b" * 500, "reviews"))[0] == 200
    assert [path for _, path in shop.received("reviews-v2")] != []
    assert not shop.world.mesh.data_plane.refused
