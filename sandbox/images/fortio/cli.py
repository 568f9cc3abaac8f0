"""`fortio load`, `curl`, `version` and `help`: the commands that ask others, as a process of the container."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from sandbox.images import gofmt
from sandbox.images.commands.terminal import Terminal
from sandbox.images.fortio import report
from sandbox.images.fortio.client import Client, Target
from sandbox.images.fortio.flags import FLAGS, FlagError, HelpWanted, Options, parse
from sandbox.images.fortio.load import PROCESSORS, Aborted, Run
from sandbox.images.fortio.logger import ERROR, WARNING, Logger
from sandbox.images.fortio.version import VERSION
from sandbox.images.program import Container, Streams

USAGE = (
    f"Φορτίο {VERSION} usage:\n"
    "\tfortio command [flags] target\n"
    "where command is one of: load (load testing), curl (single URL debug), server, version or help,\n"
    "where target is a URL (http://host:port/path). This is the sandbox's own fortio; it has these flags:\n"
    f"\t{' '.join(f'-{name}' for name in FLAGS)}\n"
)


class _Call:
    """One command: its streams, and what Ctrl-C does to it."""

    def __init__(self, container: Container, streams: Streams) -> None:
        self.container, self.streams = container, streams
        self.interrupt: Callable[[], None] | None = None

    def say(self, text: str) -> None:
        self.streams.err(text.encode())

    def fail(self, message: str, status: int) -> int:
        self.say(message + "\n")
        return status


async def main(words: list[str], container: Container, streams: Streams) -> int:
    """The exit status of a command line without its name."""
    call = _Call(container, streams)
    if not streams.tty:
        return await _command(words, call)

    def interrupt() -> None:
        if call.interrupt is not None:
            call.interrupt()

    terminal = Terminal(streams, interrupt)
    keys = asyncio.create_task(terminal.run())
    try:
        call.streams = terminal.streams
        return await _command(words, call)
    finally:
        keys.cancel()
        await asyncio.gather(keys, return_exceptions=True)


async def _command(words: list[str], call: _Call) -> int:
    if not words:
        return call.fail(f"{USAGE}Missing command argument", 1)
    name, *rest = words
    if name == "version" and not rest:
        call.streams.out(f"{VERSION}\n".encode())
        return 0
    if name == "help" and not rest:
        call.streams.out(USAGE.encode())
        return 0
    command = _COMMANDS.get(name)
    if command is None:
        return call.fail(f"{USAGE}Error: unknown command {json.dumps(name)} for the sandbox's fortio", 1)
    try:
        options, targets = parse(rest)
    except HelpWanted:
        return call.fail(USAGE.rstrip(), 0)
    except FlagError as error:
        return call.fail(f"{error}\n{USAGE.rstrip()}", error.status)
    if len(targets) > 1:
        return call.fail(f"{USAGE}At most 1 argument expected, got {len(targets)}", 1)
    if not targets:
        return call.fail(f"{USAGE}Error: fortio load/curl needs a URL or destination", 1)
    color = options.force_color or (call.streams.tty and not options.no_color)
    logger = Logger(call.streams.err, ERROR if options.quiet else options.level, color=color)
    return await command(targets[0].strip(), options, logger, call)


async def _load(url: str, options: Options, logger: Logger, call: _Call) -> int:
    if options.just_curl:
        return await _curl(url, options, logger, call)
    qps = gofmt.shortest(options.qps)
    begin = f"Fortio {VERSION} running at {qps} queries per second, {PROCESSORS}->{PROCESSORS} procs"
    if options.calls > 0:
        call.say(f"{begin}, for {options.calls} calls: {url}\n")
    elif options.duration <= 0:
        call.say(f"{begin}, until interrupted: {url}\n")
    else:
        call.say(f"{begin}, for {gofmt.written(options.duration)}: {url}\n")
    run = Run(url, options, call.container, logger, call.say)
    call.interrupt = run.stop
    try:
        result = await run.run()
    except Aborted as error:
        return call.fail(f"Aborting because of {error}", 1)
    call.say(report.text(result, logger))
    call.say(report.last_line(result))
    if options.json:
        return _write(options.json, json.dumps(report.document(result), indent=2).encode() + b"\n", call)
    return 0


def _write(path: str, data: bytes, call: _Call) -> int:
    if path == "-":
        call.streams.out(data)
        path = "stdout"
    else:
        try:
            call.container.files.write(path if path.startswith("/") else f"/var/lib/fortio/{path}", data)
        except OSError as error:
            return call.fail(f"Unable to create {path}: {error.strerror}", 1)
    call.say(f"Successfully wrote {len(data)} bytes of Json data to {path}\n")
    return 0


async def _curl(url: str, options: Options, logger: Logger, call: _Call) -> int:
    """Headers on standard error, the body on standard output; of an answer that is not well, what was read."""
    whole = url if "://" in url else f"http://{url}"
    if whole != url:
        logger.log(WARNING, "http_client.go:173", f"Assuming http:// on missing scheme for '{url}'")
    try:
        client = Client(Target.of(whole, options), options, call.container, logger, 0)
    except (OSError, ValueError) as error:
        logger.log(ERROR, "network.go:442", f"Unable to lookup host of {whole}: {error}")
        return 1
    call.interrupt = client.close
    fetched = await client.fetch()
    client.close()
    headers = fetched.data[: fetched.headers]
    if not options.standard_client:
        (call.streams.out if options.headers_to_stdout else call.streams.err)(headers)
    call.streams.out(fetched.data[fetched.headers :])
    if fetched.code != 200:
        logger.log(ERROR, "commonflags.go:148", f"Error status {fetched.code}")
        return 1
    return 0


_COMMANDS: Mapping[str, Callable[[str, Options, Logger, _Call], Awaitable[int]]] = {"curl": _curl, "load": _load}
