"""How far ahead of a gateway the load generator is: `python benchmarks/load_generator.py [REQUESTS] [CONCURRENCY]`.

Asks an Envoy on one worker, once as it answers by itself and once as a gateway before itself. A line is the median
of ROUNDS runs, beside those of a general client (aiohttp) on the same Envoy, in turn. On a machine of two cores the
requests a second are what both sides leave to each other: read what each takes of a processor.

Then Envoy delays every answer and writes down how long each took: what is measured here has to be that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import aiohttp  # noqa: E402

from sandbox.mesh.envoy import binary  # noqa: E402
from workshop.traffic.load import Load, Result, send  # noqa: E402

ROUNDS = 5
SIZES = (2, 4000)
"""Bytes: Envoy answers 4,096 by itself at most."""
DELAY = 0.005

Generator = Callable[[str, int, int], Awaitable[Result]]


async def ours(url: str, count: int, concurrency: int) -> Result:
    return await send(Load(url, _by_status, concurrency), count)


async def general(url: str, count: int, concurrency: int) -> Result:
    """aiohttp without what is done to answers: nothing is told apart here."""
    result, left = Result(), count

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal left
        while left:
            left -= 1
            began = time.perf_counter()
            async with session.get(url) as answer:
                await answer.read()
            result.latencies.append(time.perf_counter() - began)

    started = time.perf_counter()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work(session))
    result.seconds = time.perf_counter() - started
    result.latencies.sort()
    return result


def _by_status(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str:
    return str(status)


def measure(title: str, url: str, envoy: int, count: int, concurrency: int) -> None:
    runs: dict[str, list[tuple[float, float, float, float, float]]] = {}
    for _ in range(ROUNDS):
        for generator in (ours, general):
            here, there = own_seconds(), seconds_of(envoy)
            result = asyncio.run(generator(url, count, concurrency))
            assert len(result.latencies) == count, result.errors
            here, there = own_seconds() - here, seconds_of(envoy) - there
            figures = (result.seconds, here, there, result.percentile(0.5), result.percentile(0.99))
            runs.setdefault(generator.__name__, []).append(figures)
    for name, taken in runs.items():
        seconds, here, there, p50, p99 = (median(column) for column in zip(*taken, strict=True))
        print(
            f"{title:28} {name:8} {count / seconds:7,.0f}/s  here {here / count * 1e6:5.1f} us a request, "
            f"Envoy {there / count * 1e6:5.1f} us  p50 {p50 * 1000:.2f} ms  p99 {p99 * 1000:.2f} ms",
            flush=True,
        )


def compare(url: str, log: Path, count: int, concurrency: int) -> None:
    """Times that were measured here beside those that Envoy has measured, of the same requests."""
    log.write_text("")
    result = asyncio.run(ours(url, count, concurrency))
    until = time.monotonic() + 15  # Envoy writes its log every 10 s
    while len(lines := log.read_text().splitlines()) < count and time.monotonic() < until:
        time.sleep(0.1)
    theirs = Result(latencies=sorted(int(line) / 1e6 for line in lines))
    for share in (0.5, 0.9, 0.99):
        a, b = result.percentile(share) * 1000, theirs.percentile(share) * 1000
        print(f"answers delayed by {DELAY * 1000:g} ms, p{share * 100:g}: {a:.2f} ms here, {b:.2f} ms in Envoy")


@contextlib.contextmanager
def envoy() -> Iterator[tuple[int, dict[str, str], Path]]:
    """An Envoy: its process, where it answers by itself, as a gateway and late, and the log of the last."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "times"
        ports = {name: _free_port() for name in ("itself", "gateway", "late")}
        answers = [
            {
                "match": {"path": f"/{size}"},
                "direct_response": {"status": 200, "body": {"inline_string": "x" * size}},
            }
            for size in SIZES
        ]
        to_itself = [{"match": {"prefix": "/"}, "route": {"cluster": "itself"}}]
        fault = {"delay": {"fixed_delay": f"{DELAY}s", "percentage": {"numerator": 100}}}
        time_format = {"text_format_source": {"inline_string": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%\n"}}
        late = {
            "http_filters": [_typed("filters.http.fault.v3.HTTPFault", **fault), _ROUTER],
            "access_log": [_typed("access_loggers.file.v3.FileAccessLog", path=str(log), log_format=time_format)],
        }
        itself = {"endpoint": {"address": _address(ports["itself"])}}
        bootstrap = {
            "static_resources": {
                "listeners": [
                    _listener("itself", ports["itself"], answers),
                    _listener("gateway", ports["gateway"], to_itself),
                    _listener("late", ports["late"], answers, **late),
                ],
                "clusters": [
                    {
                        "name": "itself",
                        "load_assignment": {"cluster_name": "itself", "endpoints": [{"lb_endpoints": [itself]}]},
                    }
                ],
            }
        }
        words = (str(binary()), "--config-yaml", json.dumps(bootstrap), "--disable-hot-restart")
        process = subprocess.Popen([*words, "--concurrency", "1", "--log-level", "error"])
        try:
            for port in ports.values():
                _wait_for(port)
            yield process.pid, {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}, log
        finally:
            process.terminate()
            process.wait()


def _typed(kind: str, **config: Any) -> dict[str, Any]:
    return {"name": kind, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **config}}


_ROUTER = _typed("filters.http.router.v3.Router")
_MANAGER = "filters.network.http_connection_manager.v3.HttpConnectionManager"


def _listener(name: str, port: int, routes: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    hosts = {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]}
    manager = _typed(_MANAGER, **{"stat_prefix": name, "route_config": hosts, "http_filters": [_ROUTER], **more})
    return {"name": name, "address": _address(port), "filter_chains": [{"filters": [manager]}]}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def seconds_of(process: int) -> float:
    """Of a processor, so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    requests, at_once = [*(int(argument) for argument in sys.argv[1:]), *(10_000, 16)[len(sys.argv) - 1 :]]
    with envoy() as (pid, urls, times):
        for bytes_of_body in SIZES:
            measure(
                f"Envoy itself, {bytes_of_body} bytes", f"{urls['itself']}/{bytes_of_body}", pid, requests, at_once
            )
            measure(
                f"a gateway, {bytes_of_body} bytes", f"{urls['gateway']}/{bytes_of_body}", pid, requests, at_once
            )
        compare(f"{urls['late']}/{SIZES[0]}", times, requests // 2, at_once)
