"""fortio: Istio's load tester. Its image serves by default; `kubectl exec` or a Job makes it ask others.

It has the flags that the workshop and Istio's tasks type, read as Go's flag package reads them (one dash or two,
`-c 2` or `-c=2`, none after the URL), and refuses the others by name.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from sandbox.images import gofmt
from sandbox.images.commands.terminal import terminal
from sandbox.images.fortio_load import (
    ERROR,
    LEVELS,
    PROCESSORS,
    VERSION,
    Aborted,
    Client,
    Logger,
    Options,
    Run,
    Target,
    document,
    is_ok,
    text,
)
from sandbox.images.program import Container, Factory, Program, ProgramError, Streams, TaskProgram
from sandbox.images.web import WebProgram

_NAME = "fortio"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class FlagError(Exception):
    """Wrong usage."""


def _boolean(given: str) -> bool:
    if given not in _TRUE + _FALSE:
        raise ValueError(given)
    return given in _TRUE


def _level(given: str) -> int:
    return LEVELS.index(given.strip().lower())


def _percentiles(given: str) -> tuple[float, ...]:
    found = tuple(float(part) for part in given.split(",") if part.strip())
    if not found or not all(0 < one < 100 for one in found):
        raise ValueError(given)
    return found


def _header(given: str) -> tuple[tuple[str, str], ...]:
    name, colon, value = given.partition(":")
    if not colon:
        raise ValueError(given)
    return ((name.strip(), value),)


_FLAGS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "H": ("headers", _header),
    "allow-initial-errors": ("allow_initial_errors", _boolean),
    "c": ("connections", int),
    "curl-stdout-headers": ("headers_to_stdout", _boolean),
    "json": ("json", str),
    "keepalive": ("keepalive", _boolean),
    "loglevel": ("level", _level),
    "n": ("calls", int),
    "nocatchup": ("no_catch_up", _boolean),
    "p": ("percentiles", _percentiles),
    "qps": ("qps", float),
    "quiet": ("quiet", _boolean),
    "t": ("duration", gofmt.duration),
    "timeout": ("timeout", gofmt.duration),
}
"""By name: the field of Options, and what reads the value."""

USAGE = (
    f"Φορτίο {VERSION} usage:\n"
    "\tfortio command [flags] target\n"
    "where command is one of: load (load testing), curl (single URL debug), server or version,\n"
    "where target is a URL (http://host:port/path). This is the sandbox's own fortio; it has these flags:\n"
    f"\t{' '.join(f'-{name}' for name in _FLAGS)}\n"
)


def parse(words: list[str]) -> tuple[Options, list[str]]:
    """The options, and the arguments after them. Raises FlagError."""
    values: dict[str, Any] = {}
    waiting = list(words)
    while waiting and waiting[0].startswith("-") and waiting[0] != "-":
        word = waiting.pop(0)
        if word == "--":
            break
        name, equals, given = word[2 if word.startswith("--") else 1 :].partition("=")
        if name not in _FLAGS:
            raise FlagError(f"flag not supported by the sandbox's fortio: -{name}")
        option, read = _FLAGS[name]
        if not equals:
            if read is _boolean:
                given = "true"
            elif not waiting:
                raise FlagError(f"flag needs an argument: -{name}")
            else:
                given = waiting.pop(0)
        try:
            value = read(given)
        except ValueError:
            raise FlagError(f'invalid value "{given}" for flag -{name}') from None
        values[option] = values.get(option, ()) + value if read is _header else value
    return Options(**values), waiting


class _Call:
    """One command: its streams, and what Ctrl-C does to it."""

    def __init__(self, container: Container, streams: Streams) -> None:
        self.container, self.streams = container, streams
        self.interrupt: Callable[[], None] | None = None

    def say(self, said: str) -> None:
        self.streams.err(said.encode())

    def fail(self, message: str, status: int) -> int:
        self.say(message + "\n")
        return status


async def run(words: list[str], container: Container, streams: Streams) -> int:
    """The exit status of a command line without its name."""
    call = _Call(container, streams)
    if not streams.tty:
        return await _command(words, call)
    interrupt = lambda: call.interrupt() if call.interrupt is not None else None  # noqa: E731
    async with terminal(streams, interrupt) as call.streams:
        return await _command(words, call)


async def _command(words: list[str], call: _Call) -> int:
    name, *rest = words or [""]
    if name == "version" and not rest:
        call.streams.out(f"{VERSION}\n".encode())
        return 0
    command = _COMMANDS.get(name)
    if command is None:
        return call.fail(f"{USAGE}Error: unknown command {json.dumps(name)} for the sandbox's fortio", 1)
    try:
        options, targets = parse(rest)
    except FlagError as error:
        return call.fail(f"{error}\n{USAGE.rstrip()}", 2)
    if len(targets) != 1:
        return call.fail(f"{USAGE}Error: fortio {name} needs one URL, after its flags: {targets}", 1)
    logger = Logger(call.streams.err, ERROR if options.quiet else options.level)
    return await command(targets[0].strip(), options, logger, call)


async def _load(url: str, options: Options, logger: Logger, call: _Call) -> int:
    call.say(
        f"Fortio {VERSION} running at {options.qps:g} queries per second, {PROCESSORS}->{PROCESSORS} procs: {url}\n"
    )
    load = Run(url, options, call.container, logger, call.say)
    call.interrupt = load.stop
    try:
        result = await load.run()
    except Aborted as error:
        return call.fail(f"Aborting because of {error}", 1)
    call.say(text(result, logger))
    if not options.json:
        return 0
    data = json.dumps(document(result), indent=2).encode() + b"\n"
    if options.json == "-":
        call.streams.out(data)
        return 0
    path = options.json if options.json.startswith("/") else f"/var/lib/fortio/{options.json}"
    try:
        call.container.files.write(path, data)
    except OSError as error:
        return call.fail(f"Unable to create {path}: {error.strerror}", 1)
    return 0


async def _curl(url: str, options: Options, logger: Logger, call: _Call) -> int:
    """Headers on standard error, the body on standard output; of an answer that is not well, what was read."""
    try:
        client = Client(Target.of(url, options), options, call.container, logger, 0)
    except (OSError, ValueError) as error:
        logger.log(ERROR, f"Unable to lookup host of {url}: {error}")
        return 1
    call.interrupt = client.close
    fetched = await client.fetch()
    client.close()
    # Only of an answer that is well does fortio know where the headers end.
    size = fetched.head_size if is_ok(fetched.code) else 0
    (call.streams.out if options.headers_to_stdout else call.streams.err)(fetched.data[:size])
    call.streams.out(fetched.data[size:])
    if fetched.code != 200:
        logger.log(ERROR, f"Error status {fetched.code}")
        return 1
    return 0


_COMMANDS: Mapping[str, Callable[[str, Options, Logger, _Call], Awaitable[int]]] = {"curl": _curl, "load": _load}


class FortioServer(WebProgram):
    """`fortio server`: every path echoes what it was sent. What the query may ask of fortio's is refused."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.query or request.path.rstrip("/") == "/debug":
            raise web.HTTPNotImplemented(text=f"the sandbox's fortio server only echoes: {request.path_qs}")
        kind = request.headers.get("Content-Type", "")
        return web.Response(body=await request.read(), headers={"Content-Type": kind} if kind else {})

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        return await _executed(command, self.container, streams)

    def configure(self, arguments: list[str]) -> None:
        super().configure(arguments[1:] if arguments[:1] == ["server"] else arguments)

    binaries = (_NAME,)


class FortioCommand(TaskProgram):
    """The container that is one command, such as `fortio load`."""

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        return await _executed(command, self.container, streams)


async def _executed(command: list[str], container: Container, streams: Streams) -> int | None:
    if command[0].rsplit("/", 1)[-1] != _NAME:
        return None
    return await run(command[1:], container, streams)


def fortio(container: Container) -> Program:
    """As the image's entry point `/usr/bin/fortio` with `server` for want of arguments."""
    words = container.command
    if container.spec.get("command"):
        name = words.pop(0)
        if name.rsplit("/", 1)[-1] != _NAME:
            raise ProgramError(f'exec: "{name}": executable file not found in $PATH', 127)
    if not words or words[0] == "server":
        return FortioServer(container)
    return FortioCommand(container, lambda: run(words, container, container.streams))


PROGRAMS: dict[str, Factory] = {_NAME: fortio}
