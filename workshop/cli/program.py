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
import sys
import textwrap
from collections.abc import Iterator, Sequence

import invoke.program
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.main import program as running
from invoke.parser import Parser
from invoke.parser.context import ParserContext
from invoke.terminals import pty_size

from workshop import output
from workshop.cli.config import Config, refuse
from workshop.cli.lab_tasks import WordsAfterDashes, refuse_idle

_PAGE = 80
"""Columns of running text at most, as on the screen of a run."""

_FORMATS = ("flat", "nested", "json")


def take_over() -> None:
    """Make the Program that runs, and has just loaded tasks.py, the workshop's."""
    # The script that pip makes has its Program already, and no file or setting says which one it should be.
    running.__class__ = Program
    running.config_class = Config
    running.create_config()
    output.keep()


class Program(invoke.program.Program):
    def parse_tasks(self) -> None:
        with self._reading():
            try:
                super().parse_tasks()
            except ValueError as error:  # invalid literal for int() with base 10: 'abc'
                raise ParseError(f"{str(error).rpartition(': ')[2]} is no whole number") from error
            if self.core.remainder and not self.args.complete.value:
                raise WordsAfterDashes
            refuse_idle(self.core[0], self.tasks, self.collection)

    def _make_parser(self) -> Parser:
        """Invoke's own, or one that knows only what it will be asked for. A line without tasks lists them, or
        completes the flags of one; to put together what all of them can be given takes longer than the list."""
        if self.core.unparsed or self.args.help.value:
            return super()._make_parser()
        return Parser(self._contexts(self.core.remainder.split()), self.initial_context)

    def _contexts(self, named: Sequence[str]) -> Iterator[ParserContext]:
        for name, aliases in self.collection.task_names.items():
            if not {name, *aliases}.isdisjoint(named):
                yield ParserContext(name, aliases, self.collection[name].get_arguments())

    def parse_cleanup(self) -> None:
        """What only shows something ends here."""
        with self._reading():
            if self.args["list-format"].value not in _FORMATS:
                raise ParseError("--list-format is flat, nested or json")
            super().parse_cleanup()

    def execute(self) -> None:
        """Invoke's own, through LabExecutor (as config.py says), and with the status that the output leaves."""
        status = 0
        try:
            super().execute()
        except Exit as error:
            status = error.code
            if error.message:
                print(error.message, file=sys.stderr)
        if ended := _ended(status):
            raise Exit(code=ended)

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

    def _make_pairs(self, coll: Collection, ancestors: list[str] | None = None) -> list[tuple[str, str | None]]:
        """What `--list` shows of a collection. Its tasks in the order in which they were added: Invoke has no way
        but to sort them, and a table of contents has an order."""
        pairs = super()._make_pairs(coll, ancestors)
        tasks = dict(zip(sorted(coll.tasks), pairs, strict=False))
        return [*(tasks[name] for name in coll.tasks), *pairs[len(tasks) :]]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """What was mistyped, in words."""
        try:
            yield
        except BrokenPipeError:  # `invoke --list | head`: nobody reads on
            raise Exit(code=_ended(output.READ_NO_MORE)) from None
        except (ParseError, Exit) as error:
            if isinstance(error, Exit) and not error.message:  # all is well
                raise Exit(code=_ended(error.code)) from None
            from workshop.cli.mistyped import usage_error

            refuse(usage_error(self, error))


def _ended(status: int) -> int:
    gc.freeze()  # else Python looks through all objects once more as it ends: with an SDK, for tenths of a second
    return output.settled(status)


def _wrapped(text: str, width: int, before: str) -> str:
    """With something before the first line, and the others below the text."""
    room = width - len(before)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return f"\n{' ' * len(before)}".join([before + lines[0], *lines[1:]]).rstrip()
