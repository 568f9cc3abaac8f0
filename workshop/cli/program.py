"""Invoke's program, with the workshop's words, widths and exit statuses.

`invoke` is Invoke's own script and runs Invoke's own Program, which reads its own flags, then tasks.py, then the
rest of the line as tasks. A program that comes with tasks.py can take over from there on; what is wrong with
Invoke's own flags before the first task (`invoke -f`) stays Invoke's to say.

This module is imported by every `invoke`, also to list or complete.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import textwrap
from collections.abc import Iterator, Sequence

import invoke.program
from invoke.exceptions import Exit, ParseError
from invoke.main import program as running
from invoke.parser.context import ParserContext
from invoke.terminals import pty_size

from workshop import output
from workshop.cli.config import Config, refuse

_PAGE = 80
"""Columns of running text at most, as on the screen of a run."""

AFTER_DASHES = "no task takes words after --"

_IDLE = (
    *("pty", "warn-only", "hide", "prompt-for-sudo-password", "command-timeout"),
    *("list-depth", "list-format", "no-dedupe"),
)
"""Flags of Invoke's own that are about shell commands of tasks, or about `--list`."""

MEANS_NOTHING = "it is Invoke's own, and means nothing to labs"


def take_over() -> None:
    """Make the Program that runs, and has just loaded tasks.py, the workshop's."""
    # The script that pip makes has its Program already, and no file or setting says which one it should be.
    running.__class__ = Program
    running.config_class = Config
    running.create_config()


def end(status: int) -> None:
    """End a task."""
    output.ends_with(status)
    gc.freeze()  # else Python looks through all objects once more as it ends: with an SDK, for tenths of a second
    if status:
        raise Exit(code=status)


class Program(invoke.program.Program):
    def parse_tasks(self) -> None:
        with self._wording():
            try:
                super().parse_tasks()
            except ValueError as error:  # invalid literal for int() with base 10: 'abc'
                raise ParseError(f"{str(error).rpartition(': ')[2]} is no whole number") from error
            if self.core.remainder and not self.args.complete.value:  # Invoke drops it
                raise ParseError(AFTER_DASHES)
            if flag := self.idle(self.core[0], self.tasks):
                raise ParseError(f"{flag}: {MEANS_NOTHING}")

    def idle(self, core: ParserContext, tasks: Sequence[ParserContext]) -> str:
        """The first flag given that means nothing to the labs among these tasks: a run is not what was meant."""
        if not any(hasattr(self.collection[task.name], "about_flags") for task in tasks):
            return ""
        return next((name for name in _IDLE if name in core.args and core.args[name].got_value), "")

    def parse_cleanup(self) -> None:
        """What only shows something ends here."""
        with self._wording():
            if self.args["list-format"].value not in ("flat", "nested", "json"):
                raise ParseError("--list-format is flat, nested or json")
            super().parse_cleanup()

    def execute(self) -> None:
        from workshop.cli.together import LabExecutor

        self.executor_class = LabExecutor
        super().execute()

    def print_task_help(self, name: str) -> None:
        """Wrapped at words. Invoke prints a text as it is written, and the terminal breaks its lines."""
        width = min(pty_size()[0], _PAGE)
        usage = f"invoke [--core-opts] {name} [--options] [other tasks here ...]"
        print(_wrapped(usage, width, "Usage: "))
        print("\nDocstring:")
        for paragraph in (inspect.getdoc(self.collection[name]) or "none").split("\n\n"):
            print(_wrapped(paragraph, width, "  "), end="\n\n")
        print("Options:")
        self.print_columns(self.parser.contexts[name].help_tuples() or [("none", "")])
        if about := getattr(self.collection[name], "about_flags", ""):
            print(_wrapped(about, width, ""), end="\n\n")

    def print_columns(self, tuples: Sequence[tuple[str, str | None]]) -> None:
        """A name and what it is in each line. Invoke breaks `--max-errors` at its dashes."""
        width, room = pty_size()[0] - 1, max(len(name) for name, _ in tuples)
        for name, text in tuples:
            print(_wrapped(text or "", width, f"  {name:{room}}   "))
        print()

    @contextlib.contextmanager
    def _wording(self) -> Iterator[None]:
        """What was mistyped, in words."""
        try:
            yield
        except BrokenPipeError:  # `invoke --list | head`: nobody reads on
            raise Exit(code=output.READ_NO_MORE) from None
        except (ParseError, Exit) as error:
            if isinstance(error, Exit) and not error.message:  # all is well
                raise
            from workshop.cli.mistyped import worded

            refuse(worded(self, error))


def _wrapped(text: str, width: int, before: str) -> str:
    """With something before the first line, and the others below the text."""
    room = width - len(before)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return f"\n{' ' * len(before)}".join([before + lines[0], *lines[1:]]).rstrip()
