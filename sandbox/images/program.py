"""What an image is in the sandbox: a small program of ours in the sandbox's own process.

An image's repository name (the last part of its path, whatever the registry and tag) names a `Factory`; the
kubelet calls it with the `Container` to run. Everything a program knows of the world comes from there: its
environment, mounted files, and a network that behaves as the pod's own.

A program's life: `start` returns when it serves (the container is then ready, unless a readinessProbe says
otherwise), `wait` returns when it ends by itself, `stop` lets requests in flight finish and ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.core.cluster import Object
from sandbox.images.container_files import Files
from sandbox.network.pod_network import PodNetwork


class ProgramError(Exception):
    """A program that cannot go on: its container ends with this status, and the message is its last log line."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _closed() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_eof()
    return reader


def _nowhere(data: bytes) -> None:
    """Output nobody asked for."""


@dataclass(slots=True)
class Streams:
    """A command's standard streams: what `kubectl exec` or `attach` is connected to."""

    stdin: asyncio.StreamReader = field(default_factory=_closed)
    out: Callable[[bytes], None] = _nowhere
    err: Callable[[bytes], None] = _nowhere
    tty: bool = False


@dataclass(eq=False, slots=True)
class Container:
    """What a program is given. `pod` is the pod as it was when the container was made."""

    pod: Object
    spec: Object
    env: Mapping[str, str]
    files: Files
    network: PodNetwork
    streams: Streams
    """Of the container's main process: output is its log, and what `kubectl attach` connects to."""

    def log(self, line: str) -> None:
        """Add a line to the container's log."""
        self.streams.out(line.encode() + b"\n")

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def image(self) -> str:
        return str(self.spec["image"])

    @property
    def pod_name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.pod["metadata"].get("labels") or {}

    @property
    def ip(self) -> str:
        return self.network.ip

    @property
    def command(self) -> list[str]:
        """`command` and `args` as one argument list, `$(VAR)` expanded; empty when the image's own runs."""
        return [
            expand(word, self.env) for word in (*(self.spec.get("command") or ()), *(self.spec.get("args") or ()))
        ]


class Program(ABC):
    """One run of a container. A restart makes a new one."""

    def __init__(self, container: Container) -> None:
        self.container = container

    @abstractmethod
    async def start(self) -> None:
        """Return when it serves. Raises ProgramError when it cannot (the container then crashes)."""

    async def wait(self) -> int:
        """The exit status, when it ends by itself. Cancelled when the container is stopped."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a future nobody completes")

    async def stop(self, grace: float) -> None:  # noqa: B027 - most need nothing
        """End it: serve what is in flight for at most `grace` seconds; 0 means at once. Once more where `start` was
        still on its way."""

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        """Run a command of the image's own (`pilot-agent`, `fortio`). None: not one of mine."""
        return None

    def answers_at(self, port: int) -> LocalAnswer | None:
        """What answers at a port that is open inside the pod only, where `kubectl port-forward` enters."""
        return None


LocalAnswer = Callable[[str, str], Awaitable[tuple[int, str]]]
"""Status and body, by method and path with its query."""


class NoOp(Program):
    """Ends at once and well: init containers with nothing to do here, such as setting up packet filters."""

    async def start(self) -> None:
        pass

    async def wait(self) -> int:
        return 0


class TaskProgram(Program):
    """A container that is one command: it ends when the command does."""

    def __init__(self, container: Container, command: Callable[[], Coroutine[Any, Any, int]]) -> None:
        super().__init__(container)
        self._command = command
        self._task: asyncio.Task[int] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._command())

    async def wait(self) -> int:
        assert self._task is not None
        return await self._task

    async def stop(self, grace: float) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


Factory = Callable[[Container], Program]
"""Raises ProgramError for a command line that the image would not start with."""


def parse_flags(
    words: Sequence[str], valued: Collection[str], plain: Collection[str] = (), *, program: str
) -> tuple[dict[str, str], list[str]]:
    """`--name VALUE`, `--name=VALUE`, and those of `plain` without: values by name as given, and operands.

    Raises ProgramError, with status 2, for a flag that is not there.
    """
    found: dict[str, str] = {}
    operands: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            operands.append(word)
        elif name not in (*valued, *plain) or (equals and name in plain):
            known = " ".join((*valued, *plain))
            raise ProgramError(f"flag not supported by the sandbox's {program}: {word} (it has {known})", 2)
        elif name in valued and not equals and not waiting:
            raise ProgramError(f"flag needs an argument: {name}", 2)
        else:
            found[name] = waiting.pop(0) if name in valued and not equals else value
    return found, operands


_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` as Kubernetes expands it in commands and env: unknown names stay, `$$` is a dollar."""
    return _REFERENCE.sub(lambda found: env.get(found[2], found[0]) if found[2] else "$", text)


def repository(image: str) -> str:
    """`docker.io/istio/proxyv2:1.31.1@sha256:...` -> `proxyv2`."""
    return image.split("@", 1)[0].rsplit("/", 1)[-1].split(":", 1)[0]
