"""What clients other than kubectl rely on: tokens, statuses, pages, resumed watches, discovery."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.api.store import HISTORY
from sandbox.server.launcher import Running

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


class Client:
    """Plain HTTPS with the token of a kubeconfig."""

    def __init__(self, running: Running) -> None:
        config = json.loads(running.kubeconfig.read_text())
        self.token = config["users"][0]["user"]["token"]
        self._address = urlsplit(running.url).netloc
        self._context = ssl.create_default_context(cafile=str(running.kubeconfig.parent / "ca.pem"))

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, token: str = ""
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(self._address, context=self._context, timeout=60)
        sent = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, payload, {**sent, **(headers or {})})
        return connection.getresponse()

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        renamed = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.send(method, path, body, headers=renamed) as answer:
            return answer.status, json.loads(answer.read())

    def events(self, path: str) -> Iterator[Any]:
        """A watch's events; it must have an end (`timeoutSeconds`)."""
        with self.send("GET", path) as answer:
            assert answer.status == 200
            for line in answer:
                yield json.loads(line)


@pytest.fixture(scope="session")
def client(sandbox: Running) -> Client:
    return Client(sandbox)


def config_map(name: str, **data: str) -> Any:
    return {"metadata": {"name": name}, "data": data}


@pytest.mark.parametrize("token", ["wrong", " "])
def test_without_the_token_nothing_is_said(client: Client, token: str) -> None:
    with client.send("GET", "/api/v1/namespaces", token=token) as answer:
        assert answer.status == 401
        status = json.loads(answer.read())
    assert (status["kind"], status["reason"], status["code"]) == ("Status", "Unauthorized", 401)


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/version/", "/healthz/"])
def test_health_needs_no_token(client: Client, path: str) -> None:
    with client.send("GET", path, token="wrong") as answer:  # noqa: S106
        assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/api/v1/nothing", 404, "NotFound"),
        ("GET", "/apis/resource.k8s.io/v1/resourceclaims", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/nodes", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/pods/none", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt/status", 404, "NotFound"),
        ("GET", "/api/v1/watch/nothing", 404, "NotFound"),
        ("DELETE", "/api/v1/watch/namespaces/default/configmaps/kube-root-ca.crt", 405, "MethodNotAllowed"),
        ("PUT", "/api/v1/namespaces/default/configmaps", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/namespaces/default/configmaps/one", 405, "MethodNotAllowed"),
        ("GET", "/api/v1/pods?labelSelector=a+in+1", 400, "BadRequest"),
        ("GET", "/api/v1/pods?limit=many", 400, "BadRequest"),
        ("GET", "/api/v1/pods?continue=x", 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", 400, "BadRequest"),
        ("DELETE", "/api/v1/namespaces/default/configmaps/x?propagationPolicy=Odd", 400, "BadRequest"),
        ("DELETE", "/api/v1/namespaces/default/configmaps", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/namespaces/default/pods/one/binding", 404, "NotFound"),
        ("POST", "/api/v1/namespaces/default/pods/one/eviction", 404, "NotFound"),
        ("GET", "/apis/events.k8s.io/v1/events", 404, "NotFound"),
        ("GET", "/apis/nothing.example", 404, "NotFound"),
    ],
)
def test_refusals_are_statuses(client: Client, method: str, path: str, code: int, reason: str) -> None:
    status_code, status = client(method, path, {} if method in ("POST", "PUT") else None)
    assert (status_code, status["kind"], status["reason"]) == (code, "Status", reason)


def test_bodies_and_forms_that_are_not_known(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    assert client("POST", path, b"{", Content_Type="application/json")[0] == 400
    assert client("POST", path, b"[]", Content_Type="application/json")[0] == 400
    assert client("POST", path, b"x", Content_Type="application/cbor")[0] == 415
    assert client("GET", path, Accept="application/cbor")[0] == 406
    assert client("PATCH", f"{path}/one", {}, Content_Type="application/unknown")[0] in (404, 415)
    code, status = client("POST", path, {"kind": "Secret", "apiVersion": "v1", **config_map("one")})
    assert (code, "does not match" in status["message"]) == (400, True)
    code, status = client("POST", path, {"metadata": {"name": "one", "namespace": "other"}})
    assert (code, "namespace" in status["message"]) == (400, True)
    code, status = client("POST", path, {"metadata": {}})
    assert (code, status["details"]["causes"][0]["field"]) == (422, "metadata.name")
    assert client("POST", path, b"kind: ConfigMap\nmetadata: {name: y}", Content_Type="application/yaml")[0] == 201


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "configmaps/one", {"gracePeriodSeconds": "soon"}),
        ("DELETE", "configmaps/one", {"dryRun": "All"}),
        ("DELETE", "configmaps/one", {"dryRun": [1]}),
        ("DELETE", "configmaps/one", {"somethingNew": True}),
        ("DELETE", "configmaps/one", {"orphanDependents": True}),
        ("DELETE", "configmaps/one", "text"),
        ("PATCH", "configmaps/two?fieldManager=x", 5),
        ("PATCH", "configmaps/two?fieldManager=x", {"metadata": 5}),
        ("PATCH", "services/two?fieldManager=x", {}),
    ],
)
def test_odd_requests_are_the_clients_fault(
    client: Client, namespace: str, method: str, path: str, body: Any
) -> None:
    inside = f"/api/v1/namespaces/{namespace}"
    client("POST", f"{inside}/configmaps", config_map("one"))
    kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
    code, status = client(method, f"{inside}/{path}", body, Content_Type=kind)
    assert code in (400, 409, 422), status
    assert client("GET", f"{inside}/configmaps/one")[0] == 200


def test_field_validation_is_the_clients_choice(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    body = {**config_map("one"), "colour": "red"}
    code, status = client("POST", f"{path}?fieldValidation=Strict", body)
    assert (code, 'unknown field "colour"' in status["message"]) == (400, True)
    with client.send("POST", f"{path}?dryRun=All", body) as answer:
        assert answer.status == 201
        assert answer.getheader("Warning") == '299 - "unknown field \\"colour\\""'
    with client.send("POST", f"{path}?dryRun=All&fieldValidation=Ignore", body) as answer:
        assert answer.getheader("Warning") is None
        assert "colour" not in json.loads(answer.read())
    twice = b'{"metadata": {"name": "one", "name": "two"}}'
    code, status = client("POST", f"{path}?fieldValidation=Strict", twice)
    assert (code, "duplicate field" in status["message"]) == (400, True)


def test_a_watch_resumes_where_a_list_ended(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    _, made = client("POST", path, config_map("one", step="1"))
    _, listed = client("GET", path)
    client("PATCH", f"{path}/one", {"data": {"step": "2"}}, Content_Type="application/merge-patch+json")
    client("DELETE", f"{path}/one")
    revision = listed["metadata"]["resourceVersion"]
    seen = list(client.events(f"{path}?watch=1&resourceVersion={revision}&timeoutSeconds=1"))
    assert [(event["type"], event["object"]["data"]["step"]) for event in seen] == [
        ("MODIFIED", "2"),
        ("DELETED", "2"),
    ]
    after = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert int(made["metadata"]["resourceVersion"]) < after[0] < after[1]


def test_a_watch_with_a_selector_sees_objects_come_and_go(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    revision = client("POST", path, config_map("one"))[1]["metadata"]["resourceVersion"]
    for labels in ({"a": "b"}, {"a": "b", "c": "d"}, {"a": None}):
        patch = {"metadata": {"labels": labels}}
        client("PATCH", f"{path}/one", patch, Content_Type="application/merge-patch+json")
    selected = f"{path}?watch=1&labelSelector=a%3Db&resourceVersion={revision}&timeoutSeconds=1"
    assert [event["type"] for event in client.events(selected)] == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_from_too_long_ago_is_gone(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    revision = client("POST", path, config_map("one"))[1]["metadata"]["resourceVersion"]
    for number in range(HISTORY + 1):
        patch = {"data": {"n": str(number)}}
        client("PATCH", f"{path}/one", patch, Content_Type="application/merge-patch+json")
    seen = next(client.events(f"{path}?watch=1&resourceVersion={revision}&timeoutSeconds=1"))
    assert (seen["type"], seen["object"]["code"], seen["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_watch_from_the_future_is_silent_up_to_there(client: Client, namespace: str) -> None:
    """As the real API server's cache has it: a watch is told what comes after its revision."""
    path = CONFIG_MAPS.format(namespace)
    assert list(client.events(f"{path}?watch=1&resourceVersion=99999999999&timeoutSeconds=1")) == []
    now = int(client("GET", path)[1]["metadata"]["resourceVersion"])
    with client.send("GET", f"{path}?watch=1&resourceVersion={now + 400}&timeoutSeconds=30") as answer:
        assert answer.status == 200
        seen = None
        for number in range(450):
            made = client("POST", path, config_map(f"n{number}"))[1]
            if int(made["metadata"]["resourceVersion"]) > now + 400:
                seen = json.loads(answer.readline())
                break
        assert seen is not None
    assert int(seen["object"]["metadata"]["resourceVersion"]) > now + 400


def test_watches_by_path_as_older_clients_ask(client: Client, namespace: str) -> None:
    path = f"namespaces/{namespace}/configmaps"
    client("POST", f"/api/v1/{path}", config_map("one"))
    client("POST", f"/api/v1/{path}", config_map("two"))
    seen = list(client.events(f"/api/v1/watch/{path}?timeoutSeconds=1"))
    assert {event["object"]["metadata"]["name"] for event in seen} >= {"one", "two"}
    seen = list(client.events(f"/api/v1/watch/{path}/two?timeoutSeconds=1"))
    assert [event["object"]["metadata"]["name"] for event in seen] == ["two"]


def test_openapi_of_the_older_form_in_json(client: Client) -> None:
    """What the dynamic clients of Python, Terraform and Pulumi read; only kubectl takes it in protobuf."""
    for accept in ("application/json", "*/*"):
        with client.send("GET", "/openapi/v2", headers={"Accept": accept}) as answer:
            assert (answer.status, answer.getheader("Content-Type")) == (200, "application/json")
            document = json.loads(answer.read())
    assert document["swagger"] == "2.0"
    pod = document["definitions"]["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "version": "v1", "kind": "Pod"}]
    assert pod["properties"]["spec"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec"
    assert "#/components/" not in json.dumps(document)
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" in patch["consumes"]
    assert {"name": "dryRun", "in": "query", "type": "string"} in patch["parameters"]
    assert client("GET", "/openapi/v2", Accept="application/cbor")[0] == 406


REFUSED = [
    ("apps/v1", "statefulsets", "StatefulSet"),
    ("apps/v1", "daemonsets", "DaemonSet"),
    ("networking.k8s.io/v1", "ingresses", "Ingress"),
    ("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
]


@pytest.mark.parametrize(("version", "plural", "kind"), REFUSED)
def test_kinds_that_every_cluster_has_exist_and_are_refused_by_name(
    client: Client, namespace: str, version: str, plural: str, kind: str
) -> None:
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    assert plural in [one["name"] for one in client("GET", root)[1]["resources"]]
    path = f"{root}/namespaces/{namespace}/{plural}"
    code, listed = client("GET", path)
    assert (code, listed["kind"], listed["items"]) == (200, f"{kind}List", [])
    assert client("GET", f"{path}/one")[0] == client("DELETE", f"{path}/one")[0] == 404
    assert list(client.events(f"{path}?watch=1&timeoutSeconds=1")) == []
    one = {"apiVersion": version, "kind": kind, "metadata": {"name": "one"}, "spec": {}}
    applied = {"Content_Type": "application/apply-patch+yaml"}
    for code, status in (client("POST", path, one), client("PATCH", f"{path}/one?fieldManager=me", one, **applied)):
        assert (code, status["reason"]) == (403, "Forbidden")
        group = version.partition("/")[0] if "/" in version else ""
        key = f"{plural}.{group}" if group else plural
        assert status["message"] == f'{key} "one" is forbidden: {kind}: not supported by the sandbox'


def test_groups_and_versions_one_by_one(client: Client) -> None:
    """Older clients walk from `/api` and `/apis/GROUP`."""
    assert client("GET", "/api")[1]["versions"] == client("GET", "/api/")[1]["versions"] == ["v1"]
    _, group = client("GET", "/apis/apps")
    assert (group["kind"], group["preferredVersion"]["groupVersion"]) == ("APIGroup", "apps/v1")


def test_a_watch_that_begins_with_what_is_there(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    client("POST", path, config_map("one"))
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    seen = list(client.events(f"{path}?{query}&timeoutSeconds=1"))
    end = next(number for number, event in enumerate(seen) if event["type"] == "BOOKMARK")
    assert "one" in [event["object"]["metadata"]["name"] for event in seen[:end] if event["type"] == "ADDED"]
    assert seen[end]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_tables_on_request(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    client("POST", path, config_map("one", a="1"))
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    _, table = client("GET", f"{path}/one", Accept=accept)
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert table["rows"][0]["cells"][:2] == ["one", "1"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    _, whole = client("GET", f"{path}?includeObject=Object", Accept=accept)
    assert all(row["object"]["kind"] == "ConfigMap" for row in whole["rows"])
    for form in ("as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "as=Table;v=v1beta1;g=meta.k8s.io"):
        code, status = client("GET", path, Accept=f"application/json;{form}")
        assert (code, status["reason"]) == (406, "NotAcceptable")


def test_lists_are_given_whole(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    for name in "abc":
        client("POST", path, config_map(name))
    _, listed = client("GET", f"{path}?limit=1")
    assert {item["metadata"]["name"] for item in listed["items"]} >= set("abc")
    assert "continue" not in listed["metadata"]


def test_discovery_of_old_and_new_clients_agrees(client: Client) -> None:
    _, groups = client("GET", "/apis")
    one_by_one = set()
    for group in groups["groups"]:
        for version in group["versions"]:
            _, found = client("GET", f"/apis/{version['groupVersion']}")
            one_by_one |= {(version["groupVersion"], item["name"]) for item in found["resources"]}
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    with client.send("GET", "/apis", headers={"Accept": accept}) as answer:
        assert answer.getheader("Content-Type") == accept
        aggregated = json.loads(answer.read())
    at_once = set()
    for group in aggregated["items"]:
        for version in group["versions"]:
            name = f"{group['metadata']['name']}/{version['version']}"
            for item in version["resources"]:
                at_once.add((name, item["resource"]))
                for sub in item.get("subresources", ()):
                    at_once.add((name, f"{item['resource']}/{sub['subresource']}"))
    assert at_once == one_by_one


def test_deletes_with_preconditions(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    _, made = client("POST", path, config_map("one"))
    code, status = client("DELETE", f"{path}/one", {"preconditions": {"uid": "another"}})
    assert (code, status["reason"]) == (409, "Conflict")
    code, status = client("DELETE", f"{path}/one", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert (code, status["status"], status["details"]["uid"]) == (200, "Success", made["metadata"]["uid"])


def test_a_body_that_is_too_large(client: Client, namespace: str) -> None:
    body = config_map("large", text="x" * (9 << 20))
    try:
        code, status = client("POST", CONFIG_MAPS.format(namespace), body)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        return  # it was refused before all of it was sent
    assert (code, status["reason"]) == (413, "RequestEntityTooLarge")
