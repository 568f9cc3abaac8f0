"""MongoDB's stand-in: there for whoever connects, and clear about what it is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.sandbox.node.conftest import Place, container

IMAGE = "docker.io/library/mongo:8.0.15"


async def messages(place: Place) -> list[str]:
    return [json.loads(line)["msg"] for line in await place.log("app")]


async def test_it_takes_connections_and_logs_them(place: Place) -> None:
    probe = {"tcpSocket": {"port": 27017}, "periodSeconds": 1}
    env = [{"name": f"MONGO_INITDB_ROOT_{name}", "value": "x"} for name in ("USERNAME", "PASSWORD")]
    await place.serving("app", container(IMAGE, env=env, readinessProbe=probe))
    await place.expose("app", 27017)
    assert (await messages(place))[:3] == ["MongoDB starting", "Listening on", "Waiting for connections"]
    sock = await place.run("app").network.connect("app", 27017)
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(b"anything")
    assert await reader.read() == b""
    writer.close()
    said = await messages(place)
    assert "Connection accepted" in said
    assert "Error receiving request from client" in said
    assert "Connection ended" in said


async def test_it_ends_with_connections_open(place: Place) -> None:
    await place.serving("app", container(IMAGE, "mongod", "--bind_ip", "*", "--port=27018", "--auth"))
    sock = await place.run("app").network.connect("localhost", 27018)
    place.cluster.delete("pods", "default", "app", grace_seconds=30)
    reader, writer = await asyncio.open_connection(sock=sock)
    assert await reader.read() == b""
    writer.close()
    await place.until(lambda: place.cluster.find("pods", "default", "app") is None)


async def test_a_client_is_refused_by_name(place: Place) -> None:
    await place.serving("app", container(IMAGE))
    status, _, err = await place.exec("app", "mongosh", "--eval", "db.runCommand({ping: 1})")
    assert (status, "keeps no data" in err) == (1, True)
    assert (await place.exec("app", "hostname"))[1] == "app\n"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"args": ["--replSet", "rs0"]}, 2),
        ({"args": ["--port"]}, 2),
        ({"args": ["--port", "x"]}, 2),
        ({"args": ["--bind_ip=127.0.0.1"]}, 2),
        ({"args": ["--auth=yes"]}, 2),
        ({"command": ["mongos"]}, 127),
        ({"env": [{"name": "MONGO_INITDB_ROOT_USERNAME", "value": "x"}]}, 1),
    ],
)
async def test_what_it_does_not_know_is_refused(place: Place, fields: Any, status: int) -> None:
    place.start("app", container(IMAGE, **fields), restartPolicy="Never")
    await place.until(lambda: place.state("app").get("terminated"))
    assert place.state("app")["terminated"]["exitCode"] == status
