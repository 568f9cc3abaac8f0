"""fortio, in a pod that really runs: what it sends, what it measures, and what it says of it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from aiohttp import web

from sandbox.images.fortio import parse
from sandbox.images.fortio_load import Target
from sandbox.images.program import Streams
from sandbox.images.web import WebProgram
from tests.sandbox.node.conftest import Place, container


class Counting(WebProgram):
    """Answers `/status/N` with N, and counts callers, connections and what they sent."""

    def reset(self) -> None:
        self.requests = self.at_once = self.most = 0
        self.connections: set[Any] = set()
        self.headers: list[dict[str, str]] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        self.headers.append(dict(request.headers))
        name, _, rest = request.path[1:].partition("/")
        if name == "hang":
            await asyncio.sleep(60)
        for _ in range(3):
            await asyncio.sleep(0)
        self.at_once -= 1
        return web.Response(status=int(rest) if name == "status" else 200, body=b"x" * 100)


class World:
    """A pod with fortio, and a server it may call at `url`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        program = place.run("server").containers[0].program
        assert isinstance(program, Counting)
        self.server = program
        self.url = f"http://{place.run('server').ip}:8080"

    async def fortio(self, *words: str) -> tuple[int, str, str]:
        self.server.reset()
        return await self.place.exec("client", "fortio", *words)

    async def load(self, *words: str) -> tuple[Any, str]:
        """A run's JSON and text."""
        status, out, err = await self.fortio("load", "-json", "-", *words)
        assert status == 0, err
        return json.loads(out), err


@pytest.fixture
async def world(place: Place) -> World:
    place.programs["counting"] = Counting
    await place.serving("server", container("counting"))
    await place.serving("client", container("docker.io/fortio/fortio:1.75.2"))
    return World(place)


async def test_each_connection_sends_its_next_call_when_the_last_was_answered(world: World) -> None:
    told, text = await world.load("-c", "3", "-qps", "0", "-n", "31", "-loglevel", "Warning", f"{world.url}/x?a=b")
    assert (world.server.requests, world.server.most, len(world.server.connections)) == (31, 3, 3)
    assert (told["RetCodes"], told["NumThreads"], told["SocketCount"]) == ({"200": 31}, 3, 3)
    histogram = told["DurationHistogram"]
    assert histogram["Count"] == sum(bucket["Count"] for bucket in histogram["Data"]) == 31
    assert histogram["Min"] <= histogram["Avg"] <= histogram["Max"] == histogram["Data"][-1]["End"]
    assert [one["Percentile"] for one in histogram["Percentiles"]] == [50, 75, 90, 99, 99.9]
    assert told["ActualQPS"] == pytest.approx(31 / (told["ActualDuration"] / 1e9))
    assert (told["RequestedQPS"], told["RequestedDuration"]) == ("max", "exactly 31 calls")
    for shape in (
        rf"Fortio 1\.75\.2 running at 0 queries per second, \d+->\d+ procs: {world.url}/x\?a=b",
        r"Starting at max qps with 3 thread\(s\) \[gomax \d+\] for exactly 31 calls \(10 per thread \+ 1\)",
        r"Ended after [\d.]+ms : 31 calls\. qps=[\d.e+]+",
        r"Aggregated Function Time : count 31 avg [\d.e-]+ \+/- [\d.e-]+ min [\d.e-]+ max [\d.e-]+ sum [\d.e-]+",
        r"# range, mid point, percentile, count",
        r">= [\d.e-]+ <= [\d.e-]+ , [\d.e-]+ , [\d.]+, \d+",
        r"# target 99\.9% [\d.e-]+",
        r"Error cases : no data",
        r"Sockets used: 3 \(for perfect keepalive, would be 3\)",
        r"Code 200 : 31 \(100\.0 %\)",
        r"Response Header Sizes : count 31 avg \d+ .*",
        r"Response Body/Total Sizes : count 31 avg \d+ .*",
        r"All done 31 calls \(plus 0 warmup\) [\d.]+ ms avg, [\d.]+ qps",
    ):
        assert re.search(f"^{shape}$", text, re.MULTILINE), f"{shape}\n{text}"
    assert '"level"' not in text
    assert told["Sizes"]["Avg"] == told["HeaderSizes"]["Avg"] + 100


async def test_an_answer_that_is_not_well_is_said_and_costs_the_connection(world: World) -> None:
    told, text = await world.load("-c", "2", "-qps", "0", "-n", "6", f"{world.url}/status/503")
    assert (told["RetCodes"], told["SocketCount"], len(world.server.connections)) == ({"503": 6}, 6, 6)
    assert told["ErrorsDurationHistogram"]["Count"] == 6
    warnings = [json.loads(line) for line in text.splitlines() if '"level":"warn"' in line]
    assert [(one["msg"], one["code"]) for one in warnings] == [("Non ok http code", 503)] * 6
    assert {one["thread"] for one in warnings} == {0, 1}
    assert "Code 503 : 6 (100.0 %)" in text
    quiet = await world.fortio("load", "-quiet", "-c", "1", "-qps", "0", "-n", "2", f"{world.url}/status/503")
    assert '"level"' not in quiet[2]


async def test_what_fails_below_http_counts_as_minus_one(world: World) -> None:
    refused = world.url.replace(":8080", ":1")
    told, text = await world.load("-c", "1", "-qps", "0", "-n", "2", refused)
    assert told["RetCodes"] == {"-1": 2}
    assert "connection refused" in text
    assert "Code  -1 : 2 (100.0 %)" in text
    told, text = await world.load("-c", "1", "-qps", "0", "-n", "1", "-timeout", "50ms", f"{world.url}/hang")
    assert told["RetCodes"] == {"-1": 1}
    assert "Timeout error" in text
    assert told["DurationHistogram"]["Min"] >= 0.05


async def test_a_run_for_a_time_begins_with_a_warm_up(world: World) -> None:
    told, text = await world.load("-c", "2", "-qps", "40", "-t", "200ms", "-nocatchup", world.url)
    assert told["RetCodes"] == {"200": 8}
    assert (told["RequestedQPS"], told["RequestedDuration"]) == ("40", "200ms")
    assert world.server.requests == 10
    assert told["ActualDuration"] == pytest.approx(200e6, rel=0.5)
    assert "Starting at 40 qps with 2 thread(s)" in text
    assert "All done 8 calls (plus 2 warmup)" in text
    told, _ = await world.load("-c", "2", "-qps", "0", "-t", "50ms", "-p", "50,99", world.url)
    assert told["RetCodes"]["200"] == world.server.requests - 2
    assert [one["Percentile"] for one in told["DurationHistogram"]["Percentiles"]] == [50, 99]
    bad = ["-c", "2", "-qps", "0", "-t", "50ms", f"{world.url}/status/500"]
    status, _, err = await world.fortio("load", *bad)
    assert (status, world.server.requests) == (1, 2)
    assert f"Aborting because of error 500 for {world.url}/status/500" in err
    told, _ = await world.load("-allow-initial-errors", *bad)
    assert set(told["RetCodes"]) == {"500"}


async def test_a_terminals_interrupt_ends_a_run_and_shows_its_figures(world: World) -> None:
    world.server.reset()
    shown = bytearray()
    streams = Streams(asyncio.StreamReader(), shown.extend, shown.extend, tty=True)
    client = world.place.run("client").containers[0]
    words = ["fortio", "load", "-c", "2", "-qps", "0", "-t", "0", "-loglevel", "info", f"{world.url}/status/404"]
    running = asyncio.create_task(client.exec([*words[:-1], "-allow-initial-errors", words[-1]], streams))
    await world.place.until(lambda: world.server.requests > 10)
    streams.stdin.feed_data(b"\x03")
    async with asyncio.timeout(60):
        assert await running == 0
    text = shown.decode()
    assert "until stop" in text
    assert f"All done {world.server.requests - 2} calls (plus 2 warmup)" in text
    assert "Non ok http code" in text
    assert text.count("\n") == text.count("\r\n")


async def test_headers_and_connections_are_as_the_flags_say(world: World) -> None:
    words = ["-c", "1", "-qps", "0", "-n", "2", "--H", "X-A: 1", "-H=X-B: 2", "-H", "Host: other"]
    await world.load(*words, "-keepalive=false", world.url)
    sent = world.server.headers[0]
    assert sent.items() >= {"X-A": "1", "X-B": "2", "Host": "other", "Connection": "close"}.items()
    assert sent["User-Agent"] == "fortio.org/fortio-1.75.2"
    assert len(world.server.connections) == 2
    assert Target.of("a/b?c", parse([])[0]).message.startswith(b"GET /b?c HTTP/1.1\r\nHost: a\r\n")


async def test_json_may_go_to_a_file_of_the_container(world: World) -> None:
    status, out, err = await world.fortio(
        "load", "-n", "2", "-c", "1", "-qps", "0", "-json", "/run.json", world.url
    )
    assert (status, out) == (0, ""), err
    saved = (await world.place.exec("client", "cat", "/run.json"))[1]
    assert json.loads(saved)["RetCodes"] == {"200": 2}


async def test_curl_shows_headers_and_body_and_fails_for_any_status_but_200(world: World) -> None:
    status, out, err = await world.fortio("curl", "-quiet", "-H", "X-A: 1", world.url)
    assert (status, out, err.splitlines()[0]) == (0, "x" * 100, "HTTP/1.1 200 OK")
    assert world.server.headers[0]["X-A"] == "1"
    status, out, err = await world.fortio("curl", f"{world.url}/status/503")
    assert (status, out.splitlines()[0]) == (1, "HTTP/1.1 503 Service Unavailable")
    assert '"level":"err"' in err
    assert "Error status 503" in err
    status, _, err = await world.fortio("curl", "http://nobody:80/")
    assert (status, "nobody" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("load -nope http://x/", 2, "flag not supported by the sandbox's fortio: -nope"),
        ("load --h2 http://x/", 2, "flag not supported by the sandbox's fortio: -h2"),
        ("load -uniform http://x/", 2, "flag not supported by the sandbox's fortio: -uniform"),
        ("load -c x http://x/", 2, 'invalid value "x" for flag -c'),
        ("load -quiet=x http://x/", 2, 'invalid value "x" for flag -quiet'),
        ("load -t 5 http://x/", 2, 'invalid value "5" for flag -t'),
        ("load -p 0 http://x/", 2, 'invalid value "0" for flag -p'),
        ("load -loglevel loud http://x/", 2, 'invalid value "loud" for flag -loglevel'),
        ("load -H none http://x/", 2, 'invalid value "none" for flag -H'),
        ("load -n", 2, "flag needs an argument: -n"),
        ("load http://x/ -c 2", 1, "needs one URL, after its flags"),
        ("load", 1, "needs one URL"),
        ("load -n 2 https://server/", 1, "plain HTTP"),
        ("load -n 2 http://nobody/", 1, "Aborting because of"),
        ("grpcping localhost", 1, 'unknown command "grpcping"'),
        ("", 1, "usage"),
        ("load -help", 2, "usage"),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(world: World, words: str, status: int, said: str) -> None:
    found, out, err = await world.fortio(*words.split())
    assert (found, out) == (status, "")
    assert said in err


async def test_version_and_the_whole_path(world: World) -> None:
    assert await world.fortio("version") == (0, "1.75.2\n", "")
    assert (await world.place.exec("client", "/usr/bin/fortio", "version"))[0] == 0


async def test_the_server_echoes_and_refuses_what_else_fortios_would_do(place: Place) -> None:
    await place.serving("app", container("fortio/fortio", args=["server"]))
    at = "localhost:8080/echo"
    assert (await place.exec("app", "curl", "-s", "-d", "hello", at))[1] == "hello"
    for path in (f"{at}?status=503", "localhost:8080/debug"):
        assert "only echoes" in (await place.exec("app", "curl", "-s", path))[1]
    status, out, _ = await place.exec("app", "fortio", "curl", "-quiet", "http://localhost:8080/")
    assert (status, out) == (0, "")


async def test_a_run_may_be_the_container_itself(place: Place) -> None:
    await place.serving("app", container("fortio/fortio"))
    args = ["load", "-c", "1", "-n", "3", "-qps", "0", f"http://{place.run('app').ip}:8080/"]
    place.start("job", container("fortio/fortio", args=args), restartPolicy="Never")
    await place.until(lambda: place.pod("job")["status"]["phase"] == "Succeeded")
    assert "Code 200 : 3 (100.0 %)" in await place.log("job")
    place.start("bad", container("fortio/fortio", args=["load", "-x"]), restartPolicy="Never")
    await place.until(lambda: place.state("bad").get("terminated"))
    assert place.state("bad")["terminated"]["exitCode"] == 2
    place.start("odd", container("fortio/fortio", args=["server", "-grpc-port", "9"]), restartPolicy="Never")
    await place.until(lambda: place.state("odd").get("terminated"))
    assert "-grpc-port" in (await place.log("odd"))[-1]
