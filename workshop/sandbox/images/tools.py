"""Images people start to have a place to call from: curl, busybox, alpine, fortio, and pause."""

from __future__ import annotations

from aiohttp import web

from workshop.sandbox.images import commands
from workshop.sandbox.images.program import Container, Factory, Program, Streams
from workshop.sandbox.images.web import TEXT, WebProgram


def _plain(container: Container) -> Program:
    """Runs what it is told, a shell by default."""
    return commands.CommandProgram(container, container.command or ["sh"])


def _curl(container: Container) -> Program:
    """As the image's entry point: arguments that name no command are curl's."""
    command = container.command
    if not container.spec.get("command") and not (command and commands.knows(command[0])):
        command = ["curl", *command]
    return commands.CommandProgram(container, command)


class Fortio(WebProgram):
    """fortio's server, which sends back what it gets; `fortio curl` asks others."""

    binaries = ("fortio",)

    def configure(self, arguments: list[str]) -> None:
        super().configure([word for word in arguments if word != "server"])

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await request.read(), headers=TEXT)

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        if command[0].rsplit("/", 1)[-1] != "fortio":
            return None
        if command[1:2] != ["curl"]:
            streams.err(b"fortio: the sandbox's fortio has one command: curl [-quiet] URL\n")
            return 1
        words = [word for word in command[2:] if word != "-quiet"]
        return await commands.run(["curl", "-sSi", *words], self.container, streams)


class Pause(Program):
    """Does nothing until it is stopped."""

    async def start(self) -> None:
        self.container.log("paused")


PROGRAMS: dict[str, Factory] = {
    "alpine": _plain,
    "busybox": _plain,
    "curl": _curl,
    "fortio": Fortio,
    "pause": Pause,
}
