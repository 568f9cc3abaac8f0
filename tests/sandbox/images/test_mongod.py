"""MongoDB's stand-in: keeps documents for drivers, and is clear about what it is not.

The messages in hexadecimal are PyMongo's own, as it sent them through `kubectl port-forward`.
"""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.images.container_files import Content, Files
from sandbox.images.mongo_protocol import BadBson, Binary, ObjectId, decode, encode, read_message
from sandbox.images.mongod import Commands, Documents
from tests.sandbox.node.conftest import Place, container

IMAGE = "docker.io/library/mongo:8.0.15"


async def test_what_is_no_message_ends_the_connection(place: Place) -> None:
    probe = {"tcpSocket": {"port": 27017}, "periodSeconds": 1}
    await place.serving("app", container(IMAGE, readinessProbe=probe))
    await place.expose("app", 27017)
    sock = await place.run("app").network.connect("app", 27017)
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(b"anything that is no message")
    assert await reader.read() == b""
    writer.close()
    assert "no message of MongoDB's" in (await place.log("app"))[-1]


async def test_it_ends_with_connections_open(place: Place) -> None:
    await place.serving("app", container(IMAGE, "mongod", "--bind_ip", "*", "--port=27018"))
    sock = await place.run("app").network.connect("localhost", 27018)
    place.cluster.delete("pods", "default", "app", grace_seconds=30)
    reader, writer = await asyncio.open_connection(sock=sock)
    assert await reader.read() == b""
    writer.close()
    await place.until(lambda: place.cluster.find("pods", "default", "app") is None)


GREETED = (  # OP_QUERY isMaster, PyMongo 4.3.3
    "0701000067458b6b00000000d40700000000000061646d696e2e24636d640000000000ffffffffe00000001069736d6173746572000100000008"
    "68656c6c6f4f6b000103636c69656e7400bb00000003647269766572002a000000026e616d65000800000050794d6f6e676f000276657273696f"
    "6e0006000000342e332e330000036f73005b000000027479706500060000004c696e757800026e616d6500060000004c696e7578000261726368"
    "697465637475726500070000007838365f3634000276657273696f6e0010000000362e31382e34342d66632d76363537000002706c6174666f72"
    "6d001700000043507974686f6e20332e31312e372e66696e616c2e30000000"
)
INSERTED = (  # OP_MSG with its documents in a section of their own, PyMongo 4.20.1
    "af00000069983c6400000000dd07000000000000002f00000002696e7365727400060000006e6f74657300086f72646572656400010224646200"
    "0500000073686f700000016a000000646f63756d656e7473005c000000075f6964000102030405060708090a0b0c106100010000000462002100"
    "0000013000000000000000f83f0a31000832000102330003000000c3bc0000097768656e008e8ca97c9b01000012626967000000000000010000"
    "00"
)
FOUND = (
    "650000007348336600000000dd0700000000000000500000000266696e6400060000006e6f746573000366696c746572000c0000001061000100"
    "000000106c696d697400010000000873696e676c6542617463680001022464620005000000"
    "73686f700000"
)
NOTE = {
    "_id": ObjectId(bytes(range(1, 13))),
    "a": 1,
    "b": [1.5, None, True, "ü"],
    "when": datetime(2026, 1, 2, 3, 4, 5, 6000, UTC),
    "big": 2**40,
}


async def asked(place: Place, message: str) -> bytes:
    """What comes back for a message."""
    sock = await place.run("app").network.connect("localhost", 27017)
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(bytes.fromhex(message))
    size = await reader.readexactly(4)
    answer = size + await reader.readexactly(struct.unpack("<i", size)[0] - 4)
    writer.close()
    return answer


async def test_a_driver_is_greeted_and_finds_what_it_inserted(place: Place) -> None:
    await place.serving("app", container(IMAGE))
    greeting = await asked(place, GREETED)
    asker, code = struct.unpack_from("<ii", greeting, 8)
    assert (asker, code) == (0x6B8B4567, 1)
    assert decode(greeting[36:]) | {"localTime": 0, "connectionId": 0} == {
        **{"helloOk": True, "isWritablePrimary": True, "ismaster": True, "readOnly": False, "ok": 1.0},
        **{"maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000},
        **{"localTime": 0, "connectionId": 0, "minWireVersion": 0, "maxWireVersion": 25},
    }
    assert decode((await asked(place, INSERTED))[21:]) == {"n": 1, "ok": 1.0}
    answer = await asked(place, FOUND)
    assert struct.unpack_from("<ii", answer, 8) == (0x66334873, 2013)
    assert decode(answer[21:])["cursor"] == {"id": 0, "ns": "shop.notes", "firstBatch": [NOTE]}
    assert (await place.exec("app", "ls", "/data/db"))[1] == "shop.notes.bson\n"


def test_what_is_kept_in_a_volume_is_there_for_the_next_container() -> None:
    volume: Content = {}
    for kept in ([], [NOTE], [NOTE]):
        files = Files()
        files.mount("/data/db", volume)
        assert Documents(files).of("shop.notes") == kept
        Documents(files).add("shop.notes", NOTE)
    read_only = Files()
    read_only.mount("/data/db", {}, read_only=True)
    answer = Commands(Documents(read_only), "8").run({"insert": "notes", "documents": [{}], "$db": "shop"}, 1)
    assert "Read-only file system" in answer["errmsg"]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ({"aggregate": "notes", "pipeline": []}, 59, "no such command: 'aggregate'"),
        ({"saslStart": 1, "mechanism": "PLAIN"}, 334, "PLAIN"),
        ({"saslStart": 1, "mechanism": "SCRAM-SHA-256"}, 18, "Authentication failed"),
        ({"saslContinue": 1}, 17, "No SASL session"),
        ({"find": "notes", "sort": {"a": 1}}, 40415, "'find.sort'"),
        ({"find": "notes", "filter": {"a": {"$gt": 1}}}, 2, "unknown operator: $gt"),
        ({"find": "notes", "filter": {"a.b": 1}}, 2, "a.b"),
        ({"find": "notes", "filter": {"$or": []}}, 2, "$or"),
        ({"find": "notes", "filter": 3}, 14, "no document"),
        ({"find": "notes", "limit": -1}, 51024, "limit"),
        ({"find": "../notes"}, 73, "Invalid namespace"),
        ({"find": 1}, 73, "Invalid namespace"),
        ({"insert": "notes", "documents": []}, 16, "batch sizes"),
        ({"insert": "notes", "documents": [1]}, 14, "documents"),
        (
            {"insert": "notes", "documents": [{}], "bypassDocumentValidation": True},
            40415,
            "bypassDocumentValidation",
        ),
    ],
)
def test_a_command_or_a_field_that_is_not_there_is_refused_by_name(command: Any, code: int, said: str) -> None:
    answer = Commands(Documents(Files()), "8.0.15").run({**command, "$db": "shop"}, 1)
    assert (answer["ok"], answer["code"]) == (0.0, code)
    assert said in answer["errmsg"]


def test_documents_are_found_by_what_they_have_and_kept_once() -> None:
    files = Files()
    commands = Commands(Documents(files), "8.0.15")

    def run(**command: Any) -> Any:
        return commands.run({**command, "$db": "shop"}, 1)

    two = [{"_id": 1, "tags": ["x", "y"]}, {"_id": 2, "tags": True}]
    assert run(insert="notes", documents=two)["n"] == 2
    again = run(insert="notes", documents=[{"_id": 1}, {"_id": 3}])
    assert (again["n"], again["writeErrors"][0]["code"]) == (0, 11000)
    again = run(insert="notes", documents=[{"_id": 1}, {"_id": 3, "tags": 1}], ordered=False)
    assert (again["n"], len(again["writeErrors"])) == (1, 1)
    for wanted, ids in (
        ({"tags": "y"}, [1]),
        ({"tags": True}, [2]),
        ({"tags": 1}, [3]),
        ({"none": None}, [1, 2, 3]),
    ):
        found = run(find="notes", filter=wanted)["cursor"]["firstBatch"]
        assert [one["_id"] for one in found] == ids
        assert run(count="notes", query=wanted)["n"] == len(ids)
    assert len(run(find="notes", limit=2)["cursor"]["firstBatch"]) == 2
    assert isinstance(run(insert="notes", documents=[{}]) and Documents(files).of("shop.notes")[3]["_id"], ObjectId)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2**31,
        -(2**63),
        1.5,
        "",
        "ü\0",
        True,
        None,
        [],
        [[1], {}],
        {"": {"a": []}},
        Binary(4, b"x" * 16),
        NOTE,
    ],
)
def test_bson_brings_back_what_it_is_given(value: Any) -> None:
    assert decode(encode({"key": value})) == {"key": value}


def test_a_document_that_is_cut_off_is_said_to_be() -> None:
    whole = encode(NOTE)
    for size in range(len(whole)):
        with pytest.raises(BadBson):
            decode(whole[:size])


def test_what_is_no_bson_is_refused() -> None:
    deep: Any = 1
    for _ in range(101):
        deep = {"a": deep}
    for data in (
        encode(deep),
        encode({"a": 1}) + b"x",
        b"\x0d\0\0\0\x11a\0" + bytes(8) + b"\0",
        struct.pack("<i", 14) + b"\x02a\0" + struct.pack("<i", 2) + b"\xff\0\0",
        struct.pack("<i", 16) + b"\x09a\0" + struct.pack("<q", 2**62) + b"\0",
        struct.pack("<i", 99) + b"\0",
    ):
        with pytest.raises(BadBson):
            decode(data)
    for wrong in ({"a\0": 1}, {"a": 2**63}):
        with pytest.raises(ValueError, match=r"a key of BSON|64 bits"):
            encode(wrong)
    with pytest.raises(TypeError):
        encode({"a": object()})


@pytest.mark.parametrize(
    "message",
    [
        struct.pack("<iiii", 16, 1, 0, 2013),
        struct.pack("<iiii", 2**31 - 1, 1, 0, 2013),
        struct.pack("<iiii", 20, 1, 0, 2012) + bytes(4),
        struct.pack("<iiii", 20, 1, 0, 2013) + bytes(4),
        struct.pack("<iiiii", 26, 1, 0, 2013, 1) + b"\0" + encode({}),
        struct.pack("<iiiii", 26, 1, 0, 2013, 0) + b"\2" + encode({}),
        struct.pack("<iiiii", 25, 1, 0, 2013, 0) + b"\1" + struct.pack("<i", -1),
        struct.pack("<iiii", 20, 1, 0, 1) + bytes(4),
    ],
)
async def test_what_is_no_message_is_refused(message: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(message)
    reader.feed_eof()
    with pytest.raises(BadBson):
        await read_message(reader)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"args": ["--replSet", "rs0"]}, 2),
        ({"args": ["--port"]}, 2),
        ({"args": ["--port", "x"]}, 2),
        ({"args": ["--bind_ip=127.0.0.1"]}, 2),
        ({"args": ["--bind_ip_all=yes"]}, 2),
        ({"args": ["--auth"]}, 2),
        ({"command": ["mongos"]}, 127),
        ({"env": [{"name": "MONGO_INITDB_ROOT_USERNAME", "value": "x"}]}, 1),
    ],
)
async def test_what_it_does_not_know_is_refused(place: Place, fields: Any, status: int) -> None:
    place.start("app", container(IMAGE, **fields), restartPolicy="Never")
    await place.until(lambda: place.state("app").get("terminated"))
    assert place.state("app")["terminated"]["exitCode"] == status
