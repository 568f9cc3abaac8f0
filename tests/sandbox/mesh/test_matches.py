"""Whom a rule's matches mean, through real Envoy: v2 answers what matches, v1 the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .rule_world import RuleWorld, to

pytestmark = pytest.mark.asyncio(loop_scope="module")

Ask = tuple[str, str, dict[str, str]]


def get(path: str = "/", host: str = "reviews", **headers: str) -> Ask:
    return path, host, headers


async def answering(shop: RuleWorld, ask: Ask, method: str = "GET") -> str:
    path, host, headers = ask
    status, _, body = await shop.client.request(method, path, host, **headers)
    assert status == 200
    return str(json.loads(body)["version"])


@pytest.mark.parametrize(
    ("match", "meant", "not_meant"),
    [
        ({"uri": {"exact": "/a"}}, [get("/a"), get("/a?b")], [get("/a/"), get("/A"), get("/ab")]),
        ({"uri": {"prefix": "/a"}}, [get("/a"), get("/ab"), get("/a/b")], [get("/b/a"), get("/A")]),
        ({"uri": {"regex": "/a/[0-9]+"}}, [get("/a/12"), get("/a/1?b")], [get("/a/12/b"), get("/x/a/1")]),
        ({"uri": {"exact": "/a"}, "ignoreUriCase": True}, [get("/A"), get("/a")], [get("/b")]),
        ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, [get("/Ab")], [get("/b")]),
        ({"headers": {"x-u": {"exact": "j"}}}, [get(x_u="j")], [get(x_u="J"), get(x_u="jj"), get()]),
        ({"headers": {"x-u": {"prefix": "j"}}}, [get(x_u="j"), get(x_u="jj")], [get(x_u="aj"), get()]),
        ({"headers": {"x-u": {"regex": "j.*n"}}}, [get(x_u="jason")], [get(x_u="jasons"), get()]),
        ({"headers": {"x-u": {}}}, [get(x_u="j"), get(x_u="k")], [get()]),
        ({"headers": {"x-u": {"regex": "*"}}}, [get(x_u="j")], [get()]),
        (
            {"headers": {"x-u": {"exact": "j"}, "x-v": {"exact": "k"}}},
            [get(x_u="j", x_v="k")],
            [get(x_u="j"), get(x_v="k")],
        ),
        (
            {"headers": {"cookie": {"regex": "^(.*?;)?(user=jason)(;.*)?$"}}},
            [get(cookie="user=jason"), get(cookie="a=b;user=jason;c=d")],
            [get(cookie="user=jasons"), get()],
        ),
        ({"withoutHeaders": {"x-u": {}}}, [get()], [get(x_u="j")]),
        ({"withoutHeaders": {"x-u": {"exact": "j"}}}, [get(), get(x_u="k")], [get(x_u="j")]),
        ({"withoutHeaders": {"x-u": {"prefix": "j"}}}, [get(), get(x_u="k")], [get(x_u="jj")]),
        ({"withoutHeaders": {"x-u": {"regex": "j+"}}}, [get(), get(x_u="k")], [get(x_u="jj")]),
        ({"queryParams": {"q": {"exact": "1"}}}, [get("/?q=1"), get("/a?b=2&q=1")], [get("/?q=12"), get("/")]),
        ({"queryParams": {"q": {"prefix": "1"}}}, [get("/?q=12")], [get("/?q=21"), get("/")]),
        ({"queryParams": {"q": {"regex": "[0-9]+"}}}, [get("/?q=12")], [get("/?q=1a"), get("/")]),
        ({"queryParams": {"q": {}}}, [get("/?q"), get("/?q=1")], [get("/?r=1")]),
        ({"authority": {"exact": "reviews:9080"}}, [get(host="reviews:9080")], [get()]),
        ({"authority": {"prefix": "reviews."}}, [get(host="reviews.default")], [get()]),
        ({"authority": {"regex": ".*default"}}, [get(host="reviews.default")], [get()]),
        ({"scheme": {"exact": "http"}}, [get()], []),
        ({"scheme": {"regex": "https"}}, [], [get()]),
        ({"port": 9080}, [get()], []),
        ({"port": 80}, [], [get()]),
        ({"sourceLabels": {"app": "client"}}, [get()], []),
        ({"sourceLabels": {"app": "other"}}, [], [get()]),
        ({"sourceNamespace": "default"}, [get()], []),
        ({"sourceNamespace": "other"}, [], [get()]),
        ({"gateways": ["mesh"]}, [get()], []),
        ({"gateways": ["gate"]}, [], [get()]),
        (
            {"uri": {"prefix": "/a"}, "headers": {"x-u": {"exact": "j"}}},
            [get("/a", x_u="j")],
            [get("/a"), get("/b", x_u="j")],
        ),
    ],
)
async def test_match(shop: RuleWorld, match: dict[str, Any], meant: list[Ask], not_meant: list[Ask]) -> None:
    await shop.rules(to("v2", match=[match]), to("v1"))
    for ask in meant:
        assert await answering(shop, ask) == "v2", ask
    for ask in not_meant:
        assert await answering(shop, ask) == "v1", ask


@pytest.mark.parametrize(
    ("method", "meant", "not_meant"),
    [
        ({"exact": "POST"}, ["POST"], ["GET", "DELETE"]),
        ({"prefix": "P"}, ["POST", "PUT"], ["GET"]),
        ({"regex": "GET|PUT"}, ["GET", "PUT"], ["POST"]),
    ],
)
async def test_methods(shop: RuleWorld, method: dict[str, str], meant: list[str], not_meant: list[str]) -> None:
    await shop.rules(to("v2", match=[{"method": method}]), to("v1"))
    assert {await answering(shop, get(content_length="0"), name) for name in meant} == {"v2"}
    assert {await answering(shop, get(content_length="0"), name) for name in not_meant} == {"v1"}


async def test_any_of_several_matches_and_the_first_rule_that_matches(shop: RuleWorld) -> None:
    await shop.rules(
        to("v2", match=[{"uri": {"prefix": "/a"}}, {"headers": {"x-u": {"exact": "j"}}}]),
        to("v1", match=[{"uri": {"prefix": "/a/b"}}]),
        {"directResponse": {"status": 404}},
    )
    assert await answering(shop, get("/a/b")) == await answering(shop, get("/x", x_u="j")) == "v2"
    assert (await shop.client.get("/x", "reviews"))[0] == 404


async def test_what_no_rule_matches_is_not_found(shop: RuleWorld) -> None:
    await shop.rules(to("v1", match=[{"uri": {"prefix": "/a"}}]))
    assert (await shop.client.get("/b", "reviews"))[0] == 404
