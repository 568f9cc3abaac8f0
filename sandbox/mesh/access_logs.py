"""Access logs of proxies, in Istio's format, in their containers' logs.

Envoy, which is one for all proxies, writes them all into one pipe: every line begins with a mark and whose it is.
That costs one thread of Envoy's and one reader here, and as long as no mesh asks for a log there is neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from sandbox.mesh.kept import Kept
from sandbox.mesh.mesh_config import AccessLog
from sandbox.mesh.metric_loggers import AT_END, TOLD_EARLY, MetricLoggers, Metrics
from sandbox.mesh.registry import Proxy
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX, Part

PIPE = "access.pipe"
FLUSH_MILLISECONDS = 100
"""How long Envoy keeps lines; a real one's agent has it do so for a second."""

_MARK = "\x1f"
"""No text of a request's has it: Envoy refuses headers with control characters."""
_OWNER = "sandbox.proxy"
"""The field of a JSON line that says whose it is."""
_LATE = 1.0
"""Seconds in which lines of a proxy that has ended may still come."""

TEXT_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% '
    '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" '
    '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" '
    "%UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
JSON_FORMAT = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}
"""Istio's (pilot/pkg/model/telemetry_logging.go)."""

_LOGGER = f"{TYPE_PREFIX}envoy.extensions.access_loggers.file.v3.FileAccessLog"


def loggers(proxy_id: str, wanted: AccessLog) -> list[dict[str, Any]]:
    """For a filter's `access_log`."""
    if wanted.encoding == "JSON":
        fields = yaml.safe_load(wanted.format) if wanted.format else JSON_FORMAT
        written: dict[str, Any] = {"json_format": {**fields, _OWNER: proxy_id}}
    else:
        text = wanted.format or TEXT_FORMAT
        text = text if text.endswith("\n") else f"{text}\n"
        written = {"text_format_source": {"inline_string": f"{_MARK}{proxy_id}{_MARK}{text}"}}
    config = {"@type": _LOGGER, "path": PIPE, "log_format": written}
    return [{"name": "envoy.access_loggers.file", "typed_config": config}]


class LoggedListeners:
    """One proxy's listeners with its log, and what counts for its metrics, in all filters that can have one. What
    was equal stays the same object."""

    def __init__(self, proxy: Proxy) -> None:
        self._id = proxy.id
        self._metrics = MetricLoggers(proxy)
        self._chains: Kept[tuple[str, str], dict[str, Any]] = Kept()

    def of(self, opened: Iterable[dict[str, Any]], wanted: AccessLog) -> Iterable[dict[str, Any]]:
        self._chains.turn()
        lines = loggers(self._id, wanted) if wanted.file else []
        return [self._listener(listener, wanted, lines) for listener in opened]

    def _listener(self, listener: dict[str, Any], wanted: AccessLog, lines: list[dict[str, Any]]) -> dict[str, Any]:
        name = listener["name"]
        if name == f"{self._id}/health":  # kubelets' questions, at a port that is the agent's on a real one
            return listener
        metrics = self._metrics.of(listener["traffic_direction"])

        def with_log(chain: dict[str, Any]) -> dict[str, Any]:
            return self._chains.get((name, chain["name"]), (chain, wanted), lambda: _logged(chain, lines, metrics))

        made = {**listener, "filter_chains": [with_log(chain) for chain in listener.get("filter_chains") or ()]}
        if default := listener.get("default_filter_chain"):
            made["default_filter_chain"] = with_log(default)
        return made


def _logged(chain: dict[str, Any], lines: list[dict[str, Any]], metrics: Metrics) -> dict[str, Any]:
    def logged(config: dict[str, Any]) -> dict[str, Any]:
        kind = config["@type"].rpartition(".")[2]
        if kind == "HttpConnectionManager":
            return {**config, "access_log": [metrics.requests, *lines]}
        if kind == "TcpProxy":
            once = [{**line, "filter": AT_END} for line in lines]
            return {**config, "access_log": [*metrics.connections, *once], "access_log_options": TOLD_EARLY}
        return config

    filters = [{**one, "typed_config": logged(one["typed_config"])} for one in chain["filters"]]
    made = {**chain, "filters": filters}
    return Part(made) if isinstance(chain, Part) else made


class AccessLogPipe:
    """What Envoy writes, line by line to those whose lines they are."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / PIPE
        self._sinks: dict[str, Callable[[bytes], None]] = {}
        self._fd: int | None = None
        self._rest = b""
        self._last = ""
        """Whose line came last: a format may have several for one request."""

    def open(self) -> None:
        """Be there before Envoy opens it, which waits for a reader."""
        if self._fd is not None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        os.mkfifo(self._path, 0o600)
        # Also for writing, so that it does not end with an Envoy that does.
        self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def close(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def attach(self, proxy_id: str, sink: Callable[[bytes], None]) -> None:
        """Give `sink` this proxy's lines from now on."""
        self._sinks[proxy_id] = sink

    def detach(self, proxy_id: str, sink: Callable[[bytes], None]) -> None:
        """Soon: its last lines are on their way."""
        asyncio.get_running_loop().call_later(_LATE, self._forget, proxy_id, sink)

    def _forget(self, proxy_id: str, sink: Callable[[bytes], None]) -> None:
        if self._sinks.get(proxy_id) == sink:
            del self._sinks[proxy_id]

    def _read(self) -> None:
        assert self._fd is not None
        with contextlib.suppress(BlockingIOError):
            self.take(os.read(self._fd, 65536))

    def take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            owner, text = self._whose(line)
            if (sink := self._sinks.get(owner)) is not None:
                sink(text + b"\n")

    def _whose(self, line: bytes) -> tuple[str, bytes]:
        if line.startswith(_MARK.encode()):
            owner, _, line = line[1:].partition(_MARK.encode())
            self._last = owner.decode()
        elif line.startswith(b"{") and f'"{_OWNER}":'.encode() in line:
            fields = json.loads(line)
            self._last = fields.pop(_OWNER)
            line = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
        # A real proxy's clusters do not have its name in theirs.
        for direction in (b"outbound|", b"inbound|"):
            line = line.replace(f"{self._last}/".encode() + direction, direction)
        return self._last, line
