"""What stays on the screen of a run or a check: headings, a line for each step with what came of it, errors, the
summary.

The live view prints these above its moving region, the plain one just prints them, and a picture draws them: so all
three say the same.
"""

from __future__ import annotations

import shlex
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.console.charts import verdict_lines
from workshop.console.differences import added_lines, contrast, shortened
from workshop.console.timings_view import timings_line, timings_table
from workshop.console.verbatim import PAGE, told_blocks, unbroken
from workshop.console.words import Glyphs
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Difference, Hint, Outcome

_LONGEST = 110
"""Columns of a step's line at most: its time should not be an eye's journey away."""

INDENT = 6
"""Columns left of what a step tells, so that its line stands out."""

_TITLES = 20
"""Columns left of a step's title."""

_TIME = 10
"""Columns of a step's time, and the gap before it."""

_MOST_DIFFERENCES = 4

_MOST_DOOMED = 20

_VALUES = 8
"""Columns left of values that have lines of their own."""

_ENOUGH = 32
"""Columns in which two values may be cut; where the line has less left, they get one of their own."""

_KIND = len("next") + 2
"""Columns of what a hint asks for."""

_MARGIN = 2
"""Columns left of what is worth doing at the end."""

_CONNECTION = ("--kubeconfig", "--context", "--cache-dir")

_ENDINGS: dict[int, tuple[str, str, str]] = {
    0: ("changed", "Converged", "bold green"),
    1: ("failed", "Failed", "bold red"),
    2: ("failed", "Refused", "bold red"),
    3: ("inconclusive", "Inconclusive", "bold yellow"),
    130: ("skipped", "Interrupted", "bold yellow"),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """`width` is what there is, for charts and values; a step's line is no longer than is good to read. With
    `timings` a run ends with where its time went."""

    width: int
    glyphs: Glyphs
    debug: bool = False
    timings: bool = False

    @property
    def row_width(self) -> int:
        return min(self.width, _LONGEST)

    def start(self, event: events.RunStarted) -> RenderableType:
        facts = [event.target, words.count(len(event.labs), "lab"), words.count(event.steps, "step")]
        if event.part[1] > 1:
            facts.insert(0, "part {} of {}".format(*event.part))
        line = Text.assemble(("Mesh Workshop", "bold"), (f"  {f' {self.glyphs.dot} '.join(facts)}", "dim"))
        return Group(Text(), line) if event.part[0] > 1 else line

    def heading(self, name: str, title: str, note: str = "", text: str = "") -> RenderableType:
        """With `text`, what the lab teaches, as a page below it."""
        line = Text.assemble((name, "bold cyan"), "  ", (title, "bold"))
        if note:
            line.append(f"  {note}", "dim")
        page = [part for paragraph in words.paragraphs(text) for part in (Text(), _page(paragraph))]
        return Group(Text(), line, *page)

    def not_begun(self, labs: int, steps: int) -> RenderableType:
        said = f"{words.count(labs, 'lab')} {'was' if labs == 1 else 'were'} not begun"
        line = Text(f"  {self.glyphs.skipped} {said}  {words.count(steps, 'step')} skipped", "dim")
        return Group(Text(), line)

    def folded(self, labs: int, steps: int, *, of_one: bool, brief: bool = False) -> RenderableType:
        """Labs of which nothing is otherwise than it should be: needs of one lab or of several; if `brief`, any."""
        have = "has" if labs == 1 else "have"
        which = "" if brief else " it needs" if of_one else " they need"
        said = f"{words.count(labs, 'lab')}{which} {have} converged"
        line = Text.assemble(
            f"  {self.glyphs.unchanged} {said}", (f"  {words.count(steps, 'step')} unchanged", "dim")
        )
        return Group(Text(), line)

    def unchanged(self, steps: int) -> RenderableType:
        """A lab's steps that there was nothing to do for, in one line: others of it are shown."""
        return Text(f"  {self.glyphs.unchanged} {words.count(steps, 'step')} unchanged", "dim")

    def is_quiet(self, event: events.StepFinished) -> bool:
        """Whether nothing of the step is otherwise than it should be, so that its line may be folded."""
        return event.outcome == "unchanged" and not (event.verdict or event.error)

    def row(
        self, sign: RenderableType, word: Text, number: str, body: RenderableType, seconds: float | None
    ) -> RenderableType:
        """One step's line, finished or running: its columns stand below each other."""
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=3, justify="right")
        table.add_column(width=12, no_wrap=True)
        table.add_column(width=2, justify="right", style="dim", no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        table.add_column(width=_TIME - 1, justify="right", style="dim", no_wrap=True)
        table.add_row(sign, word, number, body, "" if seconds is None else words.duration(seconds))
        return _wide(table, self.row_width)

    def titled(self, title: str, note: str, style: str = "") -> Text:
        """A title with a note beside it, or below where both do not fit."""
        body = Text(title, style)
        if note:
            fits = body.cell_len + 2 + cell_len(note) <= self.row_width - _TITLES - _TIME
            body.append(f"{'  ' if fits else chr(10)}{note}", "dim")
        return body

    def step(self, event: events.StepFinished, told: Sequence[str]) -> RenderableType:
        return Group(self.step_row(event), *(self.below(block) for block in self._details(event, told)))

    def step_row(self, event: events.StepFinished) -> RenderableType:
        """Its line without what belongs below it."""
        style = words.STYLES[event.outcome]
        note = event.note or self._what_changed(event)
        body = self.titled(event.title, note, style="dim" if event.outcome == "skipped" else "")
        sign = Text(self.glyphs.outcome(event.outcome), style)
        seconds = None if event.outcome == "skipped" else event.seconds
        return self.row(sign, Text(event.outcome, style), str(event.step), body, seconds)

    def measured(self, event: events.Measured) -> RenderableType:
        """What a step has measured before its end, in the columns of its own line, which comes below."""
        number, body = str(event.step) if event.step else "", Text(event.title, "bold")
        verdict = verdict_lines(event.verdict, self.width - INDENT, self.glyphs)
        return Group(self.row(Text(), Text("measured", "cyan"), number, body, None), self.below(verdict))

    def skipped_lab(self, steps: Sequence[events.StepFinished]) -> RenderableType:
        """A lab of which nothing was run, in one line."""
        body = Text(f"{words.count(len(steps), 'step')}: {steps[0].note}", "dim")
        return self.row(Text(self.glyphs.skipped, "dim"), Text("skipped", "dim"), "", body, None)

    def _what_changed(self, event: events.StepFinished) -> str:
        """For what is not shown field by field."""
        if not event.check or event.outcome != "changed":
            return ""
        return words.totals((item for item in event.check.differences if not item.path), past=True)

    def _details(self, event: events.StepFinished, told: Sequence[str]) -> list[RenderableType]:
        blocks: list[RenderableType] = []
        if event.check and event.outcome not in ("unchanged", "skipped") and not event.undone:
            edited = [item for item in event.check.differences if item.path]
            blocks += self.differences(edited[:_MOST_DIFFERENCES])
            if len(edited) > _MOST_DIFFERENCES:
                blocks.append(Text(f"    and {words.count(len(edited) - _MOST_DIFFERENCES, 'field')} more", "dim"))
        blocks += told_blocks(told)
        if event.verdict:
            blocks.append(verdict_lines(event.verdict, self.width - INDENT, self.glyphs))
        if event.error:
            blocks.append(error_lines(event.error, debug=self.debug))
        if event.look_at:
            blocks.append(Group(*self.hints(event.look_at, self.width - INDENT)))
        return blocks

    def hints(self, hints: Sequence[Hint], width: int) -> list[RenderableType]:
        """What to open or to type stays whole, to be copied; what it is about stands beside it, or below."""
        lines: list[RenderableType] = []
        for hint in hints:
            line: list[str | Text | tuple[str, str]] = [(f"{hint.kind:{_KIND}}", "dim"), (hint.what, "bold cyan")]
            about = hint.about.splitlines()
            if len(about) == 1 and _KIND + cell_len(hint.what) + 2 + cell_len(about[0]) <= width:
                line.append((f"  {about.pop()}", "dim"))
            lines.append(unbroken(*line))
            lines += [Padding(Text(said, "dim"), (0, 0, 0, _KIND), expand=False) for said in about]
        return lines

    def worth_doing(self, hints: Sequence[Hint]) -> list[RenderableType]:
        """The same at the end of all."""
        return [_Below(line, _MARGIN) for line in self.hints(hints, self.width - _MARGIN)]

    def below(self, block: RenderableType) -> RenderableType:
        """What belongs to the step's line above it."""
        return _Below(block)

    def doomed(self, subjects: Sequence[str]) -> Iterator[RenderableType]:
        """What a clean-up is to remove, as far as it can be taken in: of what is more, the
        kinds, or the other cluster."""
        for subject in subjects[:_MOST_DOOMED]:
            yield self.below(Text(subject, "dim"))
        if more := subjects[_MOST_DOOMED:]:
            first = (subject.split()[0] for subject in more)
            kinds = Counter(f"in {word[:-1]}" if word.endswith(":") else word for word in first)
            told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            yield self.below(Text(f"and {len(more)} more: {told}", "dim"))

    def beside(self, line: Text) -> RenderableType:
        """The same in the column of the titles, for what is short and passes."""
        return Padding(line, (0, 0, 0, _TITLES), expand=False)

    def differences(self, differences: Sequence[Difference], *, whole: bool = False) -> list[RenderableType]:
        """Object by object what is to be created, removed or changed, and the changed ones field by field. Long
        values are cut around what differs; `whole` ones go on in more lines instead."""
        signs = {"create": ("+", "green"), "remove": ("-", "red"), "change": ("~", "yellow")}
        lines: list[RenderableType] = []
        for subject, group in words.by_subject(differences).items():
            sign, style = signs[words.kind_of_change(group)]
            title = Text(f"{sign} {subject}", style)
            itself = [item for item in group if not item.path and sign == "~"]
            lines += self._from_to(title, itself[-1], whole) if itself else [title]
            lines += [Text(f"    {item.note}", "dim") for item in group if item.note]
            for item in group:
                if item.path:
                    lines += self._from_to(Text(f"    {item.path}"), item, whole)
        return lines

    def _from_to(self, head: Text, item: Difference, whole: bool) -> list[RenderableType]:
        """Both values in what is left of the line of `head`, or below it when that is too little."""
        arrow, width = f" {self.glyphs.arrow} ", self.width - INDENT - len(self.glyphs.arrow) - 2
        beside, below = width - head.cell_len - 2, width - _VALUES
        both = contrast(item.found, item.wanted)
        if both.cells > max(beside, below) and whole:
            found, wanted = Text(both.found, "red"), Text(both.wanted, "green")
            for text, differs in zip((found, wanted), both.differing(), strict=True):
                text.stylize("bold", differs.start, differs.stop)
            return [head, _Value("", found), _Value(self.glyphs.arrow, wanted)]
        fits = both.cells <= beside or (both.cells > below and beside >= _ENOUGH)
        cut = shortened(both, beside if fits else below, self.glyphs.more)
        line = Text.assemble((cut.found, "red"), (arrow, "dim"), (cut.wanted, "green"))
        return (
            [Text.assemble(head, "  ", line)] if fits else [head, Padding(line, (0, 0, 0, _VALUES), expand=False)]
        )

    def command(self, event: events.Command, lab: str = "") -> RenderableType:
        """As a person would type it; what only says which cluster is there, but does not stand out. A `=` is before
        what is no process of its own."""
        program, *arguments = event.argv
        prompt = "$ " if event.process else "= "
        line = Text.assemble((f"{lab}  " if lab else "", "cyan"), (prompt, "dim"), (PurePath(program).name, "blue"))
        for argument in arguments:
            line.append(f" {shlex.quote(argument)}", "dim" if argument.startswith(_CONNECTION) else "blue")
        if event.stdin:
            line.append(f"  # {words.count(len(event.stdin.splitlines()), 'line')} on stdin", "dim")
        return self.below(line)

    def interrupted(self, at_once: bool) -> RenderableType:
        """On a line of its own: the terminal has just echoed ^C, perhaps behind a question."""
        said = "Stopping at once." if at_once else "Stopping at the next safe point; Ctrl-C again stops at once."
        return Text(f"\n{said}", "yellow")

    def summary(self, event: events.RunFinished, part: tuple[int, int] = (1, 1)) -> RenderableType:
        lines: list[RenderableType] = [Text()]
        if event.error:
            lines += [error_lines(event.error, debug=self.debug), Text()]
        if event.timings and self.timings:
            lines += [*timings_table(event.timings, event.seconds), Text()]
        glyph, word, style = _ENDINGS[event.exit_status]
        counts = self._counts(event.counts)
        line = Text.assemble((f"{getattr(self.glyphs, glyph)} {word}", style), "  " if counts else "", counts)
        if part[1] > 1:
            line.append("  part {} of {}".format(*part), "dim")
        if event.exit_status == 0 and not event.counts.get("changed"):
            line.append("  nothing was applied", "dim")
        line.append(f"  {words.duration(event.seconds)}", "bold")
        lines.append(line)
        if event.timings:
            lines += timings_line(event.timings)
        if event.resume:
            lines.append(unbroken(("  go on with  ", "dim"), (event.resume, "bold cyan")))
        if event.hints:
            lines += [Text(), *self.worth_doing(event.hints)]
        return Group(*lines)

    def _counts(self, counts: dict[Outcome, int]) -> Text:
        parts = [Text(f"{counts[kind]} {kind}", words.STYLES[kind]) for kind in words.ORDER if counts.get(kind)]
        return Text(f" {self.glyphs.dot} ").join(parts)


@dataclass(frozen=True, slots=True)
class _Below:
    """Further in, as Padding does it, but without cutting off what is not to be broken."""

    block: RenderableType
    columns: int = INDENT

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.update(width=max(1, options.max_width - self.columns))
        for line in Segment.split_lines(console.render(self.block, room)):
            yield Segment(" " * self.columns)
            yield from line
            yield Segment.line()


@dataclass(frozen=True, slots=True)
class _Value:
    """A whole value, over as many lines as it needs; in a log, which has no edge, on one."""

    sign: str
    text: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        sign = f"{self.sign:>{_VALUES - 1}} "
        if not console.is_terminal:
            yield Text.assemble(sign, self.text, no_wrap=True, overflow="ignore")
            return
        lines = self.text.wrap(console, max(1, options.max_width - _VALUES), overflow="fold")
        for number, line in enumerate(lines):
            yield Text.assemble((" " * _VALUES if number else sign, "dim"), line, no_wrap=True)


def _page(paragraph: str) -> RenderableType:
    """Broken to the page, not to the terminal."""
    return Constrain(Padding(Text(paragraph), (0, 0, 0, _MARGIN)), PAGE)


def _wide(table: Table, width: int) -> Table:
    table.width = width
    return table


_CHECK_STYLES: dict[Outcome, tuple[str, str]] = {
    "missing": ("failed", "bold red"),
    "left": ("failed", "bold red"),
    "failed": ("failed", "bold red"),
    "inconclusive": ("inconclusive", "yellow"),
    "proved": ("changed", "green"),
    "unchanged": ("unchanged", "dim"),
    "skipped": ("skipped", "dim"),
}
"""Glyph and style, the worst first."""

_CHECK_ENDINGS = {**_ENDINGS, 1: ("failed", "Not converged", "bold red")}


@dataclass(frozen=True, slots=True)
class CheckLines(Lines):
    @classmethod
    def of(cls, lines: Lines) -> CheckLines:
        return cls(**{field.name: getattr(lines, field.name) for field in fields(lines)})

    def start(self, event: events.RunStarted) -> RenderableType:
        facts = (event.target, words.count(len(event.labs) - event.needs, "lab"), "nothing is changed")
        return Text.assemble(
            ("What is there, checked and measured", "bold"), (f"  {f' {self.glyphs.dot} '.join(facts)}", "dim")
        )

    def is_quiet(self, event: events.StepFinished) -> bool:
        return super(CheckLines, self).is_quiet(event) and not (event.check and event.check.added)

    def step_row(self, event: events.StepFinished) -> RenderableType:
        glyph, style = _CHECK_STYLES[event.outcome]
        body = self.titled(event.title, event.note, style="dim" if event.outcome == "skipped" else "")
        sign, word = Text(getattr(self.glyphs, glyph), style), Text(event.outcome, style)
        return self.row(sign, word, str(event.step), body, event.seconds if event.verdict or event.error else None)

    def step(self, event: events.StepFinished, told: Sequence[str]) -> RenderableType:
        check = event.check
        blocks: list[RenderableType] = [*self.differences(check.differences, whole=True)] if check else []
        blocks += added_lines(check.added, self.glyphs) if check else []
        blocks += told_blocks(told)
        if event.verdict:
            blocks.append(verdict_lines(event.verdict, self.width - INDENT, self.glyphs))
        if event.error:
            blocks.append(error_lines(event.error, debug=self.debug))
        return Group(self.step_row(event), *map(self.below, blocks))

    def summary(self, event: events.RunFinished, part: tuple[int, int] = (1, 1)) -> RenderableType:
        glyph, word, style = _CHECK_ENDINGS[event.exit_status]
        counts = [
            Text(f"{event.counts[kind]} {kind}", _CHECK_STYLES[kind][1])
            for kind in _CHECK_STYLES
            if event.counts.get(kind)
        ]
        line = Text.assemble((f"{getattr(self.glyphs, glyph)} {word}", style), "  " if counts else "")
        line.append(Text(f" {self.glyphs.dot} ").join(counts))
        line.append(f"  part {part[0]} of {part[1]}" * (part[1] > 1), "dim")
        line.append("  nothing was changed", "dim")
        line.append(f"  {words.duration(event.seconds)}", "bold")
        what = "  a run puts it right  " if event.exit_status == 1 else "  once more  "
        following = unbroken((what, "dim"), (event.resume, "bold cyan"))
        return Group(Text(), line, *([following] if event.resume else []))


_ERROR_LABEL = len("came back")
_DEFECT = "a defect in the workshop, not something you did; -d shows where"


def error_lines(error: BaseException, *, debug: bool) -> RenderableType:
    """A traceback only with `debug`."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=_ERROR_LABEL)
    table.add_column(overflow="fold")
    for label, text, style in _error_rows(error):
        table.add_row(label, Text(text, style))
    lines: list[RenderableType] = [table]
    if isinstance(error, WorkshopError) and (following := error.next_command.strip()):
        lines.append(unbroken((f"{'next':{_ERROR_LABEL}}  ", "dim"), (following, "bold cyan")))
    if not debug:
        return Group(*lines)
    return Group(*lines, Padding(Text(_trace(error), "dim"), (1, 0)))


def _error_rows(error: BaseException) -> list[tuple[str, str, str]]:
    if isinstance(error, WorkshopError):
        rows = [
            ("tried", error.tried, ""),
            ("came back", error.came_back, "red"),
            ("likely", error.cause, ""),
        ]
    else:
        said = str(error)
        rows = [
            ("came back", f"{type(error).__name__}{': ' if said else ''}{said}", "red"),
            ("likely", _DEFECT, ""),
        ]
    return [(label, text.strip(), style) for label, text, style in rows if text.strip()]


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
