"""`fortio load`: as many callers as connections, each of which sends its next request when the last was answered.

How calls are shared out, how threads pace themselves to a rate and what a warm-up is are as in fortio
(`periodic/periodic.go`, `fhttp/httprunner.go`). The callers share this process with the servers they call, so a
caller does nothing between two calls but count.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.images import gofmt
from sandbox.images.fortio.client import Client, Fetched, Target, is_ok
from sandbox.images.fortio.flags import Options
from sandbox.images.fortio.logger import INFO, WARNING, Logger
from sandbox.images.fortio.stats import Histogram
from sandbox.images.program import Container

PROCESSORS = os.cpu_count() or 1
"""What fortio prints as its number of processors."""


class Aborted(Exception):
    """A run that could not begin."""


@dataclass
class Result:
    """What a run has measured. Times in seconds, durations in nanoseconds."""

    options: Options
    labels: str
    url: str
    began: datetime
    durations: Histogram = field(init=False)
    errors: Histogram = field(init=False)
    connecting: Histogram = field(init=False)
    sleeps: Histogram = field(default_factory=lambda: Histogram(0.001, -0.001))
    sizes: Histogram = field(default_factory=lambda: Histogram(100))
    header_sizes: Histogram = field(default_factory=lambda: Histogram(5))
    codes: Counter[int] = field(default_factory=Counter)
    threads: int = 0
    elapsed: int = 0
    requested_qps: str = "max"
    requested_duration: str = "until stop"
    sockets: list[int] = field(default_factory=list)
    addresses: Counter[str] = field(default_factory=Counter)
    clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        scale = (self.options.resolution, self.options.offset / 1e9)
        self.durations, self.errors, self.connecting = Histogram(*scale), Histogram(*scale), Histogram(*scale)

    @property
    def qps(self) -> float:
        return self.durations.count / (self.elapsed / 1e9) if self.elapsed else 0.0

    @property
    def identity(self) -> str:
        """fortio's name of the run: its time, id and labels."""
        run = f"_{self.options.run_id}" if self.options.run_id else ""
        words = re.sub(r"[^A-Za-z0-9]+", "_", f"_{self.labels}").rstrip("_")
        return f"{self.began:%Y-%m-%d-%H%M%S}{run}{words}"[:96]


class Run:
    """One run: `run` to its end, or until `stop` is called."""

    def __init__(
        self, url: str, options: Options, container: Container, logger: Logger, say: Callable[[str], None]
    ) -> None:
        self._url, self._options, self._container = url, options, container
        self._logger, self._say = logger, say
        self._stopped = asyncio.Event()
        shown = url.removeprefix("https://").removeprefix("http://")
        self._result = Result(
            options,
            options.labels or f"{shown} , {container.pod_name.split('.')[0]}",
            url if "://" in url else f"http://{url}",
            datetime.now(UTC),
        )

    def stop(self) -> None:
        """What is in flight is still counted."""
        self._stopped.set()

    async def run(self) -> Result:
        """Raises Aborted."""
        options, result = self._options, self._result
        facts: dict[str, str | int] = {
            "run": options.run_id,
            "url": self._url,
            "threads": options.connections,
            "qps": f"{options.qps if options.qps > 0 else -1:.1f}",
            "warmup": "sequential" if options.sequential_warmup else "parallel",
        }
        self._logger.log(INFO, "httprunner.go:121", "Starting http test", **facts)
        if result.url != self._url:
            self._logger.log(WARNING, "http_client.go:173", f"Assuming http:// on missing scheme for '{self._url}'")
        try:
            target = Target.of(result.url, options)
            threads = max(options.connections, 1)
            result.clients = [
                Client(target, options, self._container, self._logger, number) for number in range(threads)
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
        async def call(client: Client) -> None:
            fetched = await client.fetch()
            if not is_ok(fetched.code) and not self._options.allow_initial_errors:
                raise Aborted(f"error {fetched.code} for {self._result.url} ({fetched.size} bytes)")

        if self._options.sequential_warmup:
            for client in self._result.clients:
                await call(client)
        else:
            done = await asyncio.gather(*map(call, self._result.clients), return_exceptions=True)
            for error in done:
                if isinstance(error, BaseException):
                    raise error

    async def _measure(self) -> None:
        result = self._result
        calls, left_over = self._shares()
        result.began, began = datetime.now(UTC), time.perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            for number in range(result.threads):
                share = calls + (left_over if number == 0 else 0)
                group.create_task(self._thread(number, share, began))
        result.elapsed = time.perf_counter_ns() - began
        if self._options.calls and result.durations.count != self._options.calls:
            result.requested_duration += f", interrupted after {result.durations.count}"
        for client in result.clients[: result.threads]:
            result.sockets.append(client.connecting.count)
            result.connecting.add(client.connecting)
            result.addresses.update(client.addresses)

    # Who does how many calls.

    def _shares(self) -> tuple[int, int]:
        """Calls of each thread (0: as many as there is time for), and what is left over for the first."""
        options, result = self._options, self._result
        result.threads = len(result.clients)
        if options.qps > 0:
            return self._paced_shares()
        begin = f"Starting at max qps with {result.threads} thread(s) [gomax {PROCESSORS}] "
        if not options.calls and options.duration <= 0:
            self._say(f"{begin}until interrupted\n")
            result.requested_duration = ""
            return 0, 0
        if not options.calls:
            result.requested_duration = gofmt.written(options.duration)
            self._tell(f"{begin}for {result.requested_duration}\n")
            return 0, 0
        calls, left_over = divmod(options.calls, result.threads)
        result.requested_duration = f"exactly {options.calls} calls"
        self._tell(f"{begin}for {result.requested_duration} ({calls} per thread + {left_over})\n")
        return calls, left_over

    def _paced_shares(self) -> tuple[int, int]:
        options, result = self._options, self._result
        result.requested_qps = f"{options.qps:.9g}"
        rate = gofmt.shortest(options.qps)
        if not options.calls and options.duration <= 0:
            self._say(f"{self._begin(rate)} until interrupted\n")
            return 0, 0
        total = options.calls or int(options.qps * options.duration / 1e9)
        if total < 2:
            message = (
                "Increasing the number of calls to the minimum of 2 with 1 thread. total duration will increase"
            )
            self._logger.log(WARNING, "periodic.go:440", message)
            total, result.threads = 2, 1
        if 2 * result.threads > total:
            lowered = total // 2
            change = f"from {result.threads} to {lowered} threads"
            message = f"Lowering number of threads - total call {total} -> lowering {change}"
            self._logger.log(WARNING, "periodic.go:446", message)
            result.threads = lowered
        calls = total // result.threads
        whole = calls * result.threads
        if options.calls:
            left_over = options.calls - whole
            result.requested_duration = f"exactly {options.calls} calls"
            share = f"{calls} calls each (total {whole} + {left_over})"
            self._tell(f"{self._begin(rate)} : exactly {options.calls}, {share}\n")
            return calls, left_over
        result.requested_duration = gofmt.written(options.duration)
        self._tell(f"{self._begin(rate)} for {result.requested_duration} : {calls} calls each (total {whole})\n")
        return calls, 0

    def _begin(self, rate: str) -> str:
        return f"Starting at {rate} qps with {self._result.threads} thread(s) [gomax {PROCESSORS}]"

    def _tell(self, text: str) -> None:
        if self._logger.shows(WARNING):
            self._say(text)

    # One thread's calls.

    async def _thread(self, number: int, calls: int, began: int) -> None:
        options, client = self._options, self._result.clients[number]
        rate = options.qps / self._result.threads
        exactly, limited = options.calls > 0, options.duration > 0
        ends = began + options.duration
        if rate > 0 and options.uniform:
            delay = number / self._result.threads / rate
            began += int(delay * 1e9)
            await self._sleep(delay)
        done = 0
        while not self._stopped.is_set():
            now = time.perf_counter_ns()
            if not exactly and limited and now > ends:
                if rate <= 0:
                    break
                if done >= 2 and done != calls - 1:
                    span = gofmt.written(options.duration)
                    message = f"T{number:03} warning only did {done} out of {calls} calls before reaching {span}"
                    self._logger.log(WARNING, "periodic.go:763", message, number + 18)
                    break
            self._count(await client.fetch(), (time.perf_counter_ns() - now) / 1e9)
            done = await self._paced(done, calls, rate, began) if rate > 0 else done + 1
            if (exactly or (limited and rate > 0)) and done >= calls:
                break
        elapsed = time.perf_counter_ns() - began
        pace = gofmt.shortest(done / (elapsed / 1e9)) if elapsed > 0 else "0"
        message = f"T{number:03} ended after {gofmt.written(elapsed)} : {done} calls. qps={pace}"
        self._logger.log(INFO, "periodic.go:832", message, number + 18)

    def _count(self, fetched: Fetched, seconds: float) -> None:
        result, code = self._result, fetched.code
        result.durations.record(seconds)
        if not is_ok(code):
            result.errors.record(seconds)
        result.codes[code] += 1
        result.sizes.record(fetched.size)
        result.header_sizes.record(fetched.headers)
        if code == self._options.abort_on:
            self.stop()
            facts: dict[str, str | int] = {"run": self._options.run_id, "code": code, "size": fetched.size}
            self._logger.log(INFO, "httprunner.go:79", "Aborted run because of http code", **facts)

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
            if options.jitter and pause > 0:
                pause += random.uniform(-0.1, 0.1) * pause  # noqa: S311 - pacing
            self._result.sleeps.record(pause)
            await self._sleep(pause)
            return done

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopped.wait()
