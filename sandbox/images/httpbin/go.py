"""go-httpbin's own: its flags, and a line in the words of Go's slog for every request."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.images import gofmt
from sandbox.images.httpbin.answers import HttpBin
from sandbox.images.program import Container, ProgramError

_BEGAN = web.RequestKey("began", float)
_LEVELS = ("INFO", "WARN", "ERROR")
_VARIABLES = {"port": "PORT", "log-format": "LOG_FORMAT", "max-duration": "MAX_DURATION"}
_REFUSED = (
    *(
        "ALLOWED_REDIRECT_DOMAINS",
        "EXCLUDE_HEADERS",
        "HTTPS_CERT_FILE",
        "HTTPS_KEY_FILE",
        "MAX_BODY_SIZE",
        "PREFIX",
    ),
    *("SRV_MAX_HEADER_BYTES", "SRV_READ_HEADER_TIMEOUT", "SRV_READ_TIMEOUT"),
)


class GoHttpBin(HttpBin):
    binaries = ("go-httpbin",)

    def __init__(self, container: Container) -> None:
        super().__init__(container, 8080)
        self._json_log = False

    def configure(self, arguments: list[str]) -> None:
        env = self.container.env
        if refused := [name for name in _REFUSED if env.get(name)]:
            raise ProgramError(f"not supported by the sandbox's go-httpbin: {' '.join(refused)}", 2)
        values = {name: env[variable] for name, variable in _VARIABLES.items() if env.get(variable)}
        # The image has no entry point: without `command` the first of `args` is the program.
        words = list(arguments)
        if words and not self.container.spec.get("command"):
            name = words.pop(0)
            if name.rsplit("/", 1)[-1] not in self.binaries:
                raise ProgramError(f'exec: "{name}": executable file not found in $PATH', 127)
        while words:
            word = words.pop(0)
            name, equals, value = word.lstrip("-").partition("=")
            if not word.startswith("-") or name not in _VARIABLES:
                known = " ".join(f"-{one}" for one in _VARIABLES)
                raise ProgramError(f"error: flag provided but not defined: {word} (the sandbox's has {known})", 2)
            if not equals and not words:
                raise ProgramError(f"error: flag needs an argument: -{name}", 2)
            values[name] = value if equals else words.pop(0)
        self._take(values)

    def _take(self, values: dict[str, str]) -> None:
        try:
            self.port = int(values.get("port", self.port))
            if "max-duration" in values:
                self.longest_delay = gofmt.duration(values["max-duration"])
        except ValueError as error:
            raise ProgramError(f"error: {error}", 2) from None
        form = values.get("log-format", "text")
        if form not in ("text", "json"):
            raise ProgramError(f'error: invalid log format "{form}", must be "text" or "json"', 2)
        self._json_log = form == "json"

    def greet(self) -> None:
        self._log(0, f"go-httpbin listening on http://0.0.0.0:{self.port}", {})

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        request[_BEGAN] = time.perf_counter()
        return await super().answer(request)

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        took = (time.perf_counter() - request[_BEGAN]) * 1000
        body = response.body if isinstance(response, web.Response) else None
        facts = {
            "status": response.status,
            "method": request.method,
            "uri": request.path_qs,
            "size_bytes": len(body) if isinstance(body, bytes | bytearray) else 0,
            "duration_ms": round(took, 6),
            "user_agent": request.headers.get("User-Agent", ""),
            "client_ip": self.origin(request),
        }
        level = 2 if response.status >= 500 else 1 if response.status >= 400 else 0
        self._log(level, f"{response.status} {request.method} {request.path_qs} {took:.1f}ms", facts)

    def _log(self, level: int, message: str, facts: dict[str, Any]) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        if self._json_log:
            line = json.dumps(
                {"time": f"{now}Z", "level": _LEVELS[level], "msg": message, **facts}, separators=(",", ":")
            )
        else:
            said = {"time": f"{now[:-3]}Z", "level": _LEVELS[level], "msg": message, **facts}
            line = " ".join(f"{name}={_quoted(str(value))}" for name, value in said.items())
        self.container.streams.err(line.encode() + b"\n")


def _quoted(text: str) -> str:
    """As slog's text: in quotes when it is empty or has spaces, quotes or an equals sign."""
    plain = text and not any(one in ' "=' or not one.isprintable() for one in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
