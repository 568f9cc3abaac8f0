import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sandbox.api.kinds import Registry
from sandbox.api.local_cluster import LocalCluster
from sandbox.api.read_requests import Reader, field_selector
from sandbox.api.requests import parse_accept, parse_path
from sandbox.core.cluster import ApiError

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PODS = Registry().by_key("pods")


def test_field_selectors() -> None:
    pod = {"metadata": {"name": "x", "namespace": "n"}, "spec": {"nodeName": "one"}, "status": {"phase": "Running"}}
    assert field_selector(PODS, "spec.nodeName=one,status.phase!=Failed")(pod)
    assert not field_selector(PODS, "metadata.name=y")(pod)
    assert field_selector(PODS, "status.podIP=")(pod), "what is not there is empty"


def test_fields_of_other_kinds_are_refused() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.clusterIP"):
        field_selector(PODS, "spec.clusterIP=x")


async def test_a_large_list_is_given_whole_though_it_goes_in_pieces() -> None:
    cluster = LocalCluster()
    for number in range(700):
        labels = {"part": "few" if number % 100 == 7 else "many"}
        metadata = {"name": f"c{number:04}", "namespace": "default", "labels": labels}
        cluster.store.put("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    there = cluster.store.list("configmaps")
    reader = Reader(cluster.store, cluster.registry)

    async def answer(request: web.Request) -> web.StreamResponse:
        info = parse_path(request.path, cluster.registry)
        return await reader.listing(request, info, parse_accept(request.headers["Accept"]))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    path = "/api/v1/configmaps"
    async with TestClient(TestServer(app)) as client:
        got = await client.get(path)
        whole = await got.json()
        assert got.headers["Content-Length"] == str(len(await got.read()))
        assert whole["items"] == there
        assert whole == {**whole, "kind": "ConfigMapList", "apiVersion": "v1"}
        few = await (await client.get(path, params={"labelSelector": "part=few,part!=x"})).json()
        assert few["items"] == [obj for obj in there if obj["metadata"]["labels"]["part"] == "few"]
        by_name = await (await client.get(path, params={"fieldSelector": "metadata.name=c0300"})).json()
        assert by_name["items"] == there[300:301]
        shown = await (await client.get(path, headers={"Accept": TABLE})).json()
        assert [row["cells"][0] for row in shown["rows"]] == [obj["metadata"]["name"] for obj in there]
        assert (await client.get(f"{path}?labelSelector=part=none")).status == 200
        head = await client.head(path)
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
