"""Images people start to have a place to call from: curl, busybox, alpine, and pause."""

from __future__ import annotations

from sandbox.images import commands
from sandbox.images.program import Container, Factory, Program


def _plain(container: Container) -> Program:
    """Runs what it is told, a shell by default."""
    return commands.CommandProgram(container, container.command or ["sh"])


def _curl(container: Container) -> Program:
    """As the image's entry point: arguments that name no command are curl's."""
    command = container.command
    if not container.spec.get("command") and not (command and commands.knows(command[0])):
        command = ["curl", *command]
    return commands.CommandProgram(container, command)


class Pause(Program):
    """Does nothing until it is stopped."""

    async def start(self) -> None:
        self.container.log("paused")


PROGRAMS: dict[str, Factory] = {
    "alpine": _plain,
    "busybox": _plain,
    "curl": _curl,
    "pause": Pause,
}
