"""What the sandbox's API takes can be gone through by all there is: the deepest object by every way into the store,
and what small patches make of small objects."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.core.nesting import DEEPEST
from sandbox.server.launcher import Running

_MAPS = "/api/v1/namespaces/default/configmaps"
_APPLY = "?fieldManager=me"


class Client:
    """Both APIs, with their tokens and nothing in between."""

    def __init__(self, running: Running) -> None:
        state = running.kubeconfig.parent
        user = json.loads(running.kubeconfig.read_text())["users"][0]["user"]
        self.arm = json.loads((state / "azure.json").read_text())
        self._kubernetes = running.url, user["token"]
        self._context = ssl.create_default_context(cafile=str(state / "ca.pem"))

    def __call__(self, method: str, path: str, body: Any, kind: str = "application/json") -> tuple[int, Any]:
        url, token = (self.arm["url"], self.arm["token"]) if "api-version=" in path else self._kubernetes
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        request = urllib.request.Request(url + path, data=data, method=method, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=60) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def client(sandbox: Running) -> Client:
    return Client(sandbox)


def _nested(levels: int, kind: type) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.fixture(scope="module")
def deep(client: Client) -> Iterator[str]:
    """Where objects of a kind are that keeps whatever it gets."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "group": "broken.example.com",
        "names": {"kind": "Deep", "plural": "deeps", "singular": "deep", "listKind": "DeepList"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
    }
    named = {"metadata": {"name": "deeps.broken.example.com"}, "spec": spec}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert client("POST", definitions, named)[0] == 201
    yield "/apis/broken.example.com/v1/namespaces/default/deeps"
    client("DELETE", f"{definitions}/deeps.broken.example.com", b"")


@pytest.mark.parametrize("kind", [list, dict])
def test_what_is_taken_can_be_gone_through(client: Client, deep: str, kind: type) -> None:
    """The deepest that is taken, by every way there is into the store; a level more is refused. The object's
    managedFields, which come and go with it, have the levels of its `spec` a few levels lower."""
    name = f"deep-{kind.__name__}"
    of = {"apiVersion": "broken.example.com/v1", "kind": "Deep", "metadata": {"name": name}}
    deepest, deeper = ({**of, "spec": _nested(levels, kind)} for levels in (DEEPEST - 6, DEEPEST))
    assert client("POST", deep, deeper)[0] == 400
    assert client("POST", deep, deepest)[0] == 201
    one = f"{deep}/{name}"
    assert client("PATCH", one, {"spec": deepest["spec"], "x": 1}, "application/merge-patch+json")[0] == 200
    applied = {**deepest, "also": 1}
    assert client("PATCH", f"{one}{_APPLY}&force=true", applied, "application/apply-patch+yaml")[0] == 200
    add = {"op": "add", "path": "/again", "value": deepest["spec"]}
    assert client("PATCH", one, [add], "application/json-patch+json")[0] == 200
    below = {"op": "add", "path": "/again" + ("/0" if kind is list else "/a") * 9, "value": deepest["spec"]}
    assert client("PATCH", one, [below], "application/json-patch+json")[0] == 422
    doubled = [{"op": "add", "path": "/more", "value": [1]}] + [
        {"op": "copy", "from": "/more", "path": "/more/-"} for _ in range(40)
    ]
    assert client("PATCH", one, doubled, "application/json-patch+json")[0] == 422
    assert client("DELETE", one, b"")[0] == 200


def test_the_deepest_schema_that_is_taken_works(client: Client) -> None:
    """It nests twice for each level of an object (`properties`), so half as many levels."""
    schema: Any = {"type": "string"}
    for _ in range(DEEPEST // 2 - 6):
        schema = {"type": "object", "properties": {"a": schema}}
    spec = {
        "group": "broken.example.com",
        "names": {"kind": "Schema", "plural": "schemas", "singular": "schema", "listKind": "SchemaList"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    named = {"metadata": {"name": "schemas.broken.example.com"}, "spec": spec}
    try:
        code, answer = client("POST", definitions, named)
        assert code == 201, answer
        value: Any = "x"
        for _ in range(DEEPEST // 2 - 6):
            value = {"a": value}
        value |= {"apiVersion": "broken.example.com/v1", "kind": "Schema", "metadata": {"name": "s"}}
        place = "/apis/broken.example.com/v1/namespaces/default/schemas"
        code, answer = client("POST", place, value)
        assert code == 201, answer
        code, answer = client("PATCH", f"{place}/s{_APPLY}", value, "application/apply-patch+yaml")
        assert code == 200, answer
    finally:
        client("DELETE", f"{definitions}/schemas.broken.example.com", b"")
