"""fortio's load: callers of which each sends its next request when the last was answered, and what they measured.

How calls are shared out, how callers pace themselves to a rate and what a warm-up is are as in fortio
(`periodic/periodic.go`, `fhttp/httprunner.go`). What makes its HTTP client special matters to a circuit breaker's
figures, and is as in `fhttp/http_client.go`: a connection whose answer is not 2xx or 418 is closed, the rest of
that answer unread; a kept connection may turn out to be dead once and is replaced; whatever fails below HTTP counts
as code -1. Sizes are what was read.

The callers share this process with the servers they call, so a caller does nothing between two calls but count.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sandbox.core.durations import to_go
from sandbox.images.program import Container
from sandbox.network.http_client import Connection
from sandbox.network.http_reply import Reply

VERSION = "1.75.2"
"""The version that the workshop pins."""
PROCESSORS = os.cpu_count() or 1
"""What fortio prints as its number of processors."""
LEVELS = ("debug", "verbose", "info", "warning", "error", "critical", "fatal")
INFO, WARNING, ERROR = 2, 3, 4
SOCKET_ERROR = -1


@dataclass(frozen=True)
class Options:
    """What `fortio load` and `fortio curl` were told, with fortio's own defaults. Durations in nanoseconds."""

    connections: int = 4
    calls: int = 0
    """0: for as long as `duration`, or until interrupted when that is 0."""
    qps: float = 8.0
    """0: as fast as answers come."""
    duration: int = 5 * 10**9
    percentiles: tuple[float, ...] = (50.0, 75.0, 90.0, 99.0, 99.9)
    timeout: int = 3 * 10**9
    quiet: bool = False
    level: int = INFO
    headers: tuple[tuple[str, str], ...] = ()
    keepalive: bool = True
    allow_initial_errors: bool = False
    no_catch_up: bool = False
    json: str = ""
    headers_to_stdout: bool = False


class Aborted(Exception):
    """A run that could not begin."""


class Logger:
    """fortio's structured log lines, without the place in its source that says so."""

    def __init__(self, write: Callable[[bytes], None], level: int) -> None:
        self._write, self._level = write, level

    def shows(self, level: int) -> bool:
        return level >= self._level

    def log(self, level: int, message: str, **facts: str | int) -> None:
        if self.shows(level):
            line = {"level": "warn" if level == WARNING else "err", "msg": message, **facts}
            self._write(json.dumps(line, separators=(",", ":")).encode() + b"\n")


# What calls took.

BOUNDS: tuple[int, ...] = (
    *range(13),
    *range(14, 21, 2),
    *range(25, 51, 5),
    *range(60, 101, 10),
    *range(120, 201, 20),
    *range(250, 501, 50),
    *range(600, 1001, 100),
    *(2000, 3000, 4000, 5000, 7500, 10000),
    *(20000, 30000, 40000, 50000, 75000, 100000),
)
"""fortio's (`stats/stats.go`): each bucket holds what is above the bound before it and at most its own, in units of
the resolution (1 ms); the first holds what is not positive, the last what is above 100,000."""


@dataclass(frozen=True, slots=True)
class Bucket:
    start: float
    end: float
    percent: float
    """Of all values, up to the end of this bucket."""
    count: int


class Histogram:
    def __init__(self, resolution: float = 0.001) -> None:
        self._resolution = resolution
        self._counts = [0] * (len(BOUNDS) + 1)
        self._squares = 0.0
        self.count, self.sum, self.min, self.max = 0, 0.0, 0.0, 0.0

    def record(self, value: float) -> None:
        if self.count == 0:
            self.min = self.max = value
        elif value < self.min:
            self.min = value
        elif value > self.max:
            self.max = value
        self.count += 1
        self.sum += value
        self._squares += value * value
        self._counts[bisect_left(BOUNDS, value / self._resolution)] += 1

    @property
    def average(self) -> float:
        return self.sum / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        if not self.count:
            return 0.0
        return math.sqrt(max(0.0, (self._squares - self.sum * self.sum / self.count) / self.count))

    def buckets(self) -> list[Bucket]:
        """Those that hold anything, from the smallest to the largest value."""
        found: list[Bucket] = []
        total = 0
        for place, count in enumerate(self._counts):
            if not count:
                continue
            total += count
            start = self.min if not found else self._resolution * float(BOUNDS[max(place - 1, 0)])
            end = self._resolution * float(BOUNDS[place]) if place < len(BOUNDS) else self.max
            found.append(Bucket(start, end, 100.0 * total / self.count, count))
        if found:
            found[-1] = replace(found[-1], end=self.max)
        return found

    def percentile(self, wanted: float) -> float:
        """The value that `wanted` percent are at most, linear within its bucket."""
        before = 100.0 / self.count
        if wanted <= before:
            return self.min
        for bucket in self.buckets():
            if wanted <= bucket.percent:
                return bucket.start + (wanted - before) / (bucket.percent - before) * (bucket.end - bucket.start)
            before = bucket.percent
        return self.max

    def summary(self, title: str) -> str:
        return (
            f"{title} : count {self.count} avg {self.average:.8g} +/- {self.deviation:.4g}"
            f" min {self.min:.9g} max {self.max:.9g} sum {self.sum:.9g}\n"
        )

    def targets(self, percentiles: Sequence[float]) -> str:
        return "".join(f"# target {one:g}% {self.percentile(one):.6g}\n" for one in percentiles if self.count)

    def text(self, title: str, percentiles: Sequence[float]) -> str:
        if not self.count:
            return f"{title} : no data\n"
        lines = [self.summary(title), "# range, mid point, percentile, count\n"]
        for number, one in enumerate(self.buckets()):
            above, middle = ">" if number else ">=", (one.start + one.end) / 2
            lines.append(
                f"{above} {one.start:.6g} <= {one.end:.6g} , {middle:.6g} , {one.percent:.2f}, {one.count}\n"
            )
        return "".join(lines) + self.targets(percentiles)

    def exported(self, percentiles: Sequence[float] = ()) -> dict[str, Any]:
        """With the names of fortio's own structure."""
        found: dict[str, Any] = {
            "Count": self.count,
            "Min": self.min,
            "Max": self.max,
            "Sum": self.sum,
            "Avg": self.average,
            "StdDev": self.deviation,
            "Data": [
                {"Start": one.start, "End": one.end, "Percent": one.percent, "Count": one.count}
                for one in self.buckets()
            ]
            or None,
        }
        if percentiles and self.count:
            found["Percentiles"] = [{"Percentile": one, "Value": self.percentile(one)} for one in percentiles]
        return found


# One call.


class Fetched(NamedTuple):
    code: int
    data: bytes
    """All that was read: headers and body."""
    head_size: int


def is_ok(code: int) -> bool:
    return 200 <= code <= 299 or code == 418


@dataclass(frozen=True)
class Target:
    """What every request of a run is: where to, and the bytes to send."""

    host: str
    port: int
    message: bytes

    @classmethod
    def of(cls, url: str, options: Options) -> Target:
        """Raises ValueError for what is no URL of plain HTTP."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http":
            raise ValueError(f"unsupported protocol {parts.scheme!r}: the sandbox's pods speak plain HTTP")
        if not parts.hostname:
            raise ValueError("can't resolve empty host")
        headers = {"Host": parts.netloc, "User-Agent": f"fortio.org/fortio-{VERSION}"}
        headers |= {name.title(): value.strip() for name, value in options.headers}
        headers |= {} if options.keepalive else {"Connection": "close"}
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return cls(parts.hostname, parts.port or 80, f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())


class Client:
    """One caller's connection, kept while it is answered well. `connecting` are the times it took to connect."""

    def __init__(self, target: Target, options: Options, container: Container, logger: Logger, thread: int) -> None:
        """Raises OSError for a host nobody knows."""
        self._target, self._options, self._logger, self._thread = target, options, logger, thread
        self._network = container.network
        self._kept: Connection | None = None
        self.connecting = Histogram()
        self.address = f"{self._network.resolve(target.host)}:{target.port}"

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def fetch(self) -> Fetched:
        """One request and its answer."""
        kept, self._kept = self._kept, None
        if kept is not None and (fetched := await self._exchange(kept, reused=True)) is not None:
            return fetched
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._options.timeout / 1e9):
                sock = await self._network.connect(self._target.host, self._target.port)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error) or "i/o timeout"
            self._log(ERROR, "Unable to connect", err=f"dial tcp {self.address}: {reason}")
            return Fetched(SOCKET_ERROR, b"", 0)
        finally:
            self.connecting.record(time.perf_counter() - began)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(unread=lambda status: not is_ok(status)), sock=sock
        )
        fetched = await self._exchange(connection, reused=False)
        assert fetched is not None
        return fetched

    async def _exchange(self, connection: Connection, *, reused: bool) -> Fetched | None:
        """None when a reused connection was dead."""
        reply, failed = Reply("GET"), ""
        try:
            async with asyncio.timeout(self._options.timeout / 1e9):
                await connection.exchange(self._target.message, reply)
        except TimeoutError:
            failed = "Timeout error (incomplete/invalid response)"
        except ConnectionError as error:
            if reused and not reply.received:
                connection.close()
                return None
            # An answer may end with its connection or break off with it: fortio does not tell them apart.
            failed = "" if reply.status else f"Read error: {error}"
        except BaseException:
            connection.close()
            raise
        code = SOCKET_ERROR if failed else reply.status
        if failed:
            self._log(ERROR, failed, dest=self.address)
        elif not is_ok(code):
            self._log(WARNING, "Non ok http code", code=code)
        if reply.kept and reply.whole and self._options.keepalive and is_ok(code):
            self._kept = connection
        else:
            connection.close()
        return Fetched(code, bytes(reply.received), reply.head_size)

    def _log(self, level: int, message: str, **facts: str | int) -> None:
        self._logger.log(level, message, thread=self._thread, **facts)


# Many calls.


@dataclass
class Result:
    """What a run has measured. Times in seconds, durations in nanoseconds."""

    url: str
    options: Options
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    durations: Histogram = field(default_factory=Histogram)
    errors: Histogram = field(default_factory=Histogram)
    sizes: Histogram = field(default_factory=lambda: Histogram(100))
    header_sizes: Histogram = field(default_factory=lambda: Histogram(5))
    codes: Counter[int] = field(default_factory=Counter)
    threads: int = 0
    elapsed: int = 0
    requested: str = "until stop"
    clients: list[Client] = field(default_factory=list)

    @property
    def qps(self) -> float:
        return self.durations.count / (self.elapsed / 1e9) if self.elapsed else 0.0

    @property
    def sockets(self) -> list[int]:
        return [client.connecting.count for client in self.clients[: self.threads]]


class Run:
    """One run: `run` to its end, or until `stop` is called. `say` gets lines for people."""

    def __init__(
        self, url: str, options: Options, container: Container, logger: Logger, say: Callable[[str], None]
    ) -> None:
        self._options, self._container, self._logger, self._say = options, container, logger, say
        self._stopped = asyncio.Event()
        self._result = Result(url, options)

    def stop(self) -> None:
        """What is in flight is still counted."""
        self._stopped.set()

    async def run(self) -> Result:
        """Raises Aborted."""
        options, result = self._options, self._result
        try:
            target = Target.of(result.url, options)
            result.clients = [
                Client(target, options, self._container, self._logger, number)
                for number in range(max(options.connections, 1))
            ]
        except (OSError, ValueError) as error:
            raise Aborted(str(error)) from error
        try:
            if options.calls <= 0:
                await self._warm_up()
            await self._measure()
        finally:
            for client in result.clients:
                client.close()
        return result

    async def _warm_up(self) -> None:
        for fetched in await asyncio.gather(*(client.fetch() for client in self._result.clients)):
            if not is_ok(fetched.code) and not self._options.allow_initial_errors:
                raise Aborted(f"error {fetched.code} for {self._result.url} ({len(fetched.data)} bytes)")

    async def _measure(self) -> None:
        result = self._result
        calls, left_over = self._shares()
        result.began, began = datetime.now(UTC), time.perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            for number in range(result.threads):
                group.create_task(self._thread(number, calls + (left_over if number == 0 else 0), began))
        result.elapsed = time.perf_counter_ns() - began
        if self._options.calls and result.durations.count != self._options.calls:
            result.requested += f", interrupted after {result.durations.count}"

    def _shares(self) -> tuple[int, int]:
        """Calls of each thread (0: as many as there is time for), and what is left over for the first."""
        options, result = self._options, self._result
        result.threads = len(result.clients)
        paced, calls, left_over = options.qps > 0, 0, 0
        if options.calls:
            result.requested = f"exactly {options.calls} calls"
        elif options.duration > 0:
            result.requested = to_go(options.duration)
        if paced and result.requested != "until stop":
            total = max(options.calls or int(options.qps * options.duration / 1e9), 2)
            result.threads = min(result.threads, total // 2)
            calls = total // result.threads
            left_over = options.calls - calls * result.threads if options.calls else 0
        elif options.calls:
            calls, left_over = divmod(options.calls, result.threads)
        each = f" ({calls} per thread + {left_over})" if calls else ""
        rate = f"{options.qps:g}" if paced else "max"
        if self._logger.shows(WARNING):
            self._say(
                f"Starting at {rate} qps with {result.threads} thread(s) [gomax {PROCESSORS}]"
                f" for {result.requested}{each}\n"
            )
        return calls, left_over

    async def _thread(self, number: int, calls: int, began: int) -> None:
        options, client = self._options, self._result.clients[number]
        rate = options.qps / self._result.threads
        exactly, limited = options.calls > 0, options.duration > 0
        ends = began + options.duration
        done = 0
        while not self._stopped.is_set():
            now = time.perf_counter_ns()
            if not exactly and limited and now > ends and (rate <= 0 or 2 <= done != calls - 1):
                break
            self._count(await client.fetch(), (time.perf_counter_ns() - now) / 1e9)
            done = await self._paced(done, calls, rate, began) if rate > 0 else done + 1
            if (exactly or (limited and rate > 0)) and done >= calls:
                break

    def _count(self, fetched: Fetched, seconds: float) -> None:
        result, code = self._result, fetched.code
        result.durations.record(seconds)
        if not is_ok(code):
            result.errors.record(seconds)
        result.codes[code] += 1
        result.sizes.record(len(fetched.data))
        result.header_sizes.record(fetched.head_size)

    async def _paced(self, done: int, calls: int, rate: float, began: int) -> int:
        """Wait for the time of the next call; how many are done or have been left out then."""
        options = self._options
        bounded, limited = options.calls > 0 or options.duration > 0, options.duration > 0
        while True:
            done += 1
            if bounded and done >= calls:
                return done
            # With an end, the calls are spread over all of the time: two calls in two seconds are two apart.
            due = (done + done / (calls - 1)) / rate if limited else done / rate
            pause = due - (time.perf_counter_ns() - began) / 1e9
            if options.no_catch_up and pause < 0:
                continue
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopped.wait()
            return done


# What is told of a run.


def text(result: Result, logger: Logger) -> str:
    """A run's report, all but its first lines."""
    options, total, whole = result.options, result.durations.count, logger.shows(WARNING)
    lines = []
    for histogram, title in ((result.durations, "Aggregated Function Time"), (result.errors, "Error cases")):
        if whole:
            lines.append(histogram.text(title, options.percentiles))
        else:
            lines += [histogram.summary(title), histogram.targets(options.percentiles)]
    if whole:
        ended = f"Ended after {to_go(result.elapsed)} : {total} calls. qps={result.qps:.5g}\n"
        lines.insert(0, ended)
    lines.append("# Socket and IP used for each connection:\n")
    for number, (client, sockets) in enumerate(zip(result.clients, result.sockets, strict=False)):
        used = f"[{number}] {sockets:3} socket used, resolved to {client.address}, connection timing"
        lines.append(client.connecting.summary(used))
    lines.append(f"Sockets used: {sum(result.sockets)} (for perfect keepalive, would be {result.threads})\n")
    for code, count in sorted(result.codes.items()):
        lines.append(f"Code {code:3} : {count} ({100 * count / total:.1f} %)\n")
    if whole:
        lines.append(result.header_sizes.summary("Response Header Sizes"))
        lines.append(result.sizes.summary("Response Body/Total Sizes"))
    warm_up = 0 if options.calls > 0 else options.connections
    lines.append(
        f"All done {total} calls (plus {warm_up} warmup)"
        f" {1000 * result.durations.average:.3f} ms avg, {result.qps:.1f} qps\n"
    )
    return "".join(lines)


def document(result: Result) -> dict[str, Any]:
    """fortio's HTTPRunnerResults, without the fields of flags that are not here."""
    options = result.options
    return {
        "RunType": "HTTP",
        "StartTime": result.began.isoformat().replace("+00:00", "Z"),
        "RequestedQPS": f"{options.qps:.9g}" if options.qps > 0 else "max",
        "RequestedDuration": result.requested,
        "ActualQPS": result.qps,
        "ActualDuration": result.elapsed,
        "NumThreads": result.threads,
        "Version": VERSION,
        "DurationHistogram": result.durations.exported(options.percentiles),
        "ErrorsDurationHistogram": result.errors.exported(options.percentiles),
        "Exactly": options.calls,
        "NoCatchUp": options.no_catch_up,
        "RetCodes": {str(code): count for code, count in sorted(result.codes.items())},
        "URL": result.url,
        "DisableKeepAlive": not options.keepalive,
        "HTTPReqTimeOut": options.timeout,
        "Sizes": result.sizes.exported(),
        "HeaderSizes": result.header_sizes.exported(),
        "Sockets": result.sockets,
        "SocketCount": sum(result.sockets),
    }
