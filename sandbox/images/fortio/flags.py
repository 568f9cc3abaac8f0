"""fortio's flags, read as Go's flag package reads them: one dash or two, `-c 2` or `-c=2`, none after the URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.images import gofmt

LEVELS = ("debug", "verbose", "info", "warning", "error", "critical", "fatal")

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class FlagError(Exception):
    """Wrong usage. `status` is fortio's exit status."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


class HelpWanted(Exception):
    """`-h` or `-help`."""


def _boolean(text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise ValueError("parse error")
    return text in _TRUE


def _level(text: str) -> int:
    name = text.strip().lower()
    if name not in LEVELS:
        raise ValueError(f"should be one of [{' '.join(level.title() for level in LEVELS)}]")
    return LEVELS.index(name)


def _percentiles(text: str) -> tuple[float, ...]:
    found = tuple(float(part) for part in text.split(",") if part.strip())
    if not found or not all(0 < one < 100 for one in found):
        raise ValueError(f"a list of numbers between 0 and 100 is needed: {text}")
    return found


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"invalid extra header '{text}', expecting Key: Value")
    return name.strip(), value


def _number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise ValueError("parse error") from None

    return read


def _flag(name: str, read: Callable[[str], Any], default: Any) -> Any:
    metadata = {"flag": name, "read": read}
    return field(default=default, metadata=metadata)


_INT, _FLOAT, _DURATION = _number(int), _number(float), _number(gofmt.duration)


@dataclass(frozen=True)
class Options:
    """What `fortio load` and `fortio curl` were told, with fortio's own defaults. Durations in nanoseconds."""

    connections: int = _flag("c", _INT, 4)
    calls: int = _flag("n", _INT, 0)
    qps: float = _flag("qps", _FLOAT, 8.0)
    duration: int = _flag("t", _DURATION, 5 * 10**9)
    percentiles: tuple[float, ...] = _flag("p", _percentiles, (50.0, 75.0, 90.0, 99.0, 99.9))
    resolution: float = _flag("r", _FLOAT, 0.001)
    offset: int = _flag("offset", _DURATION, 0)
    timeout: int = _flag("timeout", _DURATION, 3 * 10**9)
    quiet: bool = _flag("quiet", _boolean, False)
    level: int = _flag("loglevel", _level, LEVELS.index("info"))
    headers: tuple[tuple[str, str], ...] = _flag("H", _header, ())
    keepalive: bool = _flag("keepalive", _boolean, True)
    allow_initial_errors: bool = _flag("allow-initial-errors", _boolean, False)
    abort_on: int = _flag("abort-on", _INT, 0)
    no_catch_up: bool = _flag("nocatchup", _boolean, False)
    uniform: bool = _flag("uniform", _boolean, False)
    jitter: bool = _flag("jitter", _boolean, False)
    json: str = _flag("json", str, "")
    labels: str = _flag("labels", str, "")
    run_id: int = _flag("runid", _INT, 0)
    standard_client: bool = _flag("stdclient", _boolean, False)
    method: str = _flag("X", str, "")
    payload: str = _flag("payload", str, "")
    content_type: str = _flag("content-type", str, "")
    log_errors: bool = _flag("log-errors", _boolean, True)
    just_curl: bool = _flag("curl", _boolean, False)
    headers_to_stdout: bool = _flag("curl-stdout-headers", _boolean, False)
    sequential_warmup: bool = _flag("sequential-warmup", _boolean, False)
    force_color: bool = _flag("logger-force-color", _boolean, False)
    no_color: bool = _flag("logger-no-color", _boolean, False)


FLAGS = {str(one.metadata["flag"]): one for one in fields(Options)}

REFUSED = (
    *("a", "access-log-file", "cacert", "calc-qps", "cert", "compression", "connection-reuse", "data-dir", "grpc"),
    *("h2", "halfclose", "http1.0", "httpbufferkb", "https-insecure", "k", "key", "L", "no-reresolve"),
    *("payload-file", "payload-size", "profile", "resolve", "stream", "unix-socket", "user"),
)
"""Flags of fortio's that the sandbox's does not have; said as such."""


def parse(words: list[str]) -> tuple[Options, list[str]]:
    """The options, and the arguments after them. Raises FlagError, HelpWanted."""
    values: dict[str, Any] = {}
    waiting = list(words)
    while waiting and waiting[0].startswith("-") and waiting[0] != "-":
        word = waiting.pop(0)
        if word == "--":
            break
        name, equals, text = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            raise FlagError(f"bad flag syntax: {word}")
        flag = FLAGS.get(name)
        if flag is None:
            raise _unknown(name)
        read: Callable[[str], Any] = flag.metadata["read"]
        if not equals:
            if read is _boolean:
                text = "true"
            elif not waiting:
                raise FlagError(f"flag needs an argument: -{name}")
            else:
                text = waiting.pop(0)
        try:
            value = read(text)
        except ValueError as error:
            boolean = "boolean " if read is _boolean else ""
            after = f"for flag -{name}: {error}" if not boolean else f"for -{name}: {error}"
            raise FlagError(f'invalid {boolean}value "{text}" {after}') from None
        values[flag.name] = (*values.get(flag.name, ()), value) if name == "H" else value
    options = Options(**values)
    return options, waiting


def _unknown(name: str) -> Exception:
    if name in ("h", "help"):
        return HelpWanted()
    if name in REFUSED:
        return FlagError(f"flag not supported by the sandbox's fortio: -{name}")
    return FlagError(f"flag provided but not defined: -{name}")
