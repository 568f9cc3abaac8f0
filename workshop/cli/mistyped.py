"""What is wrong with a line, in words, and the line put right.

Invoke says `No idea what '--too' is!`. Where one of the things that it knows is near enough to be meant, the next
command is the whole line with that in its place. It is suggested only when all of it can be read: a line with two
mistakes comes back with both put right. Else the next command shows what there is.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser

from workshop.cli.lab_tasks import IdleFlag, LabTask, WordsAfterDashes, refuse_idle
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab, Timeline

if TYPE_CHECKING:
    from invoke.collection import Collection
    from invoke.program import Program

_NEAR = 0.7
"""How alike two words are, as difflib has it, of which one is taken for the other: `too` and `to`, but not `stage`
and `step`."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class Mistake:
    """`instead` is the line as it seems to be meant. Without it, `shown` are the words that show what there is."""

    tried: str
    came_back: str
    likely: str = ""
    instead: Words = ()
    shown: Words = ("--list",)


def usage_error(program: Program, error: Exception) -> UsageError:
    """Of the line that the program was called with."""
    reader = Reader(program)
    words = tuple(program.argv[1:])
    first = reader.mistake(words, error)
    right = reader.right(first.instead)
    following = shlex.join(("invoke", *(right or first.shown)))
    return UsageError(first.tried, first.came_back, cause=first.likely, next_command=following)


class Reader:
    """Reads lines as the program does, by Invoke's own parser and without doing anything.

    Invoke says what it could not read, and not where that stands in the line: what puts it right looks for it."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._core: ParserContext = program.initial_context
        self._tasks: dict[str, ParserContext] = program.parser.contexts
        names = program.collection.task_names
        self._names = [name for primary, others in names.items() for name in (primary, *others)]

    def right(self, words: Words) -> Words:
        """The line, with all other mistakes of it put right as well; nothing when they cannot be."""
        for _ in words:
            error = self._error(words)
            if error is None:
                break
            words = self.mistake(words, error).instead
        return words

    def _error(self, words: Sequence[str]) -> Exception | None:
        try:
            core = Parser(initial=self._core, ignore_unknown=True).parse_argv(list(words))
            later, *tasks = self._program.parser.parse_argv(core.unparsed)
            for flags in (core[0], later):
                refuse_idle(flags, tasks, self._program.collection)
        except (ParseError, ValueError) as error:
            return error
        return WordsAfterDashes() if core.remainder else None

    def mistake(self, words: Words, error: Exception) -> Mistake:
        said, context = str(error), getattr(error, "context", None) or self._core
        if unknown := re.fullmatch(r"No idea what '(.*)' is!", said, re.S):
            return self._unknown(words, unknown[1], said, context)
        for argument in (*context.args.values(), *self._core.args.values()):
            if said.startswith(f"Flag {argument!r} needed value"):
                return self._without_value(words, argument, context)
        if group := re.fullmatch(r"Sub-collection '(.*)' not found!", said, re.S):
            return self._unknown_group(words, group[1])
        if isinstance(error, WordsAfterDashes):
            at = words.index("--")
            return Mistake(f"use {shlex.join(words[at:])}", said, instead=_replaced(words, at))
        if isinstance(error, IdleFlag):
            return self._idle(words, error.argument)
        tried = f"read {shlex.join(('invoke', *words))}"
        if "required positional arguments" in said and context.name in words:
            return self._without_lab(words, context.name, tried)
        return Mistake(tried, said, shown=("--help",))

    def _without_lab(self, words: Words, task: str, tried: str) -> Mistake:
        """Of a task that is told which: the first lab on a cluster, for example."""
        after, labs = words.index(task) + 1, map(self._lab, self._tasks.values())
        lab = next((lab.name for lab in labs if lab and not lab.undoes and not lab.name.startswith("azure.")), "")
        instead = (*words[:after], lab, *words[after:]) if lab else ()
        return Mistake(tried, "it does not say which lab", instead=instead, shown=("--help", task))

    def _idle(self, words: Words, argument: Argument) -> Mistake:
        """Taken away; but who types -p means --plan, and not a run."""
        names = [f"-{name}" if len(name) == 1 else f"--{name}" for name in argument.names]
        place = next((at for at, word in enumerate(words) if word.partition("=")[0] in names), None)
        if place is None:  # of several in one word
            return Mistake(f"use {names[0]} with a lab", IdleFlag.why, shown=("--help",))
        tried, end = f"use {words[place]} with a lab", place + 1
        if argument.name == "pty":
            meant = () if "--plan" in words else ("--plan",)
            return Mistake(tried, IdleFlag.why, "did you mean --plan?", _replaced(words, place, *meant))
        end += argument.takes_value and "=" not in words[place]
        return Mistake(tried, IdleFlag.why, instead=words[:place] + words[end:])

    def _unknown(self, words: Words, unknown: str, said: str, context: ParserContext) -> Mistake:
        """Invoke may have read a word as several (`--to=v1`, `-ef`). Where it stands twice, it may be good once."""
        places = [place for place, word in enumerate(words) if unknown in _parts(word)]
        if not places:
            return Mistake(f"read {shlex.join(('invoke', *words))}", said, shown=("--help",))
        bad = (place for place in places if str(self._error(words[: place + 1])) == said)
        place = next(bad, places[-1])
        if unknown.startswith("-"):
            return self._unknown_flag(words, place, context)
        return self._unknown_word(words, place, unknown, context)

    def _unknown_flag(self, words: Words, place: int, context: ParserContext) -> Mistake:
        typed = words[place]
        flag = typed.partition("=")[0]
        task = context.name or ""
        tried, none = f"use {flag}", f"{task} has no flag {flag}" if task else f"Invoke has no flag {flag}"
        if (owner := self._owner(words, place, flag)) is not None:
            before = "it stands before the task that it is about" if not task else none
            return Mistake(tried, before, f"it is a flag of {words[owner]}", self._moved(words, place, owner))
        if flag.startswith("--no-") and (opposite := flag.replace("no-", "", 1)) in context.flags:
            return Mistake(tried, none, f"it is so without {opposite}", _replaced(words, place))
        near = nearest(flag, (*context.flags, *self._core.flags))
        if not near:
            return Mistake(tried, none, shown=_help(context))
        instead = typed.replace(flag, near, 1)
        return Mistake(tried, none, f"did you mean {near}?", _replaced(words, place, instead), _help(context))

    def _owner(self, words: Words, place: int, flag: str) -> int | None:
        """Where the task stands that has the flag: the last one before it, else the first one after it."""
        owners = [at for at, word in enumerate(words) if word in self._tasks and flag in self._tasks[word].flags]
        before = [at for at in owners if at < place]
        return before[-1] if before else owners[0] if owners else None

    def _moved(self, words: Words, place: int, owner: int) -> Words:
        """The flag, and its value, behind the task that has it."""
        takes_value = "=" not in words[place] and self._tasks[words[owner]].flags[words[place]].takes_value
        end = place + 1 + takes_value
        moved = words[place:end]
        if owner < place:
            return words[: owner + 1] + moved + words[owner + 1 : place] + words[end:]
        return words[:place] + words[end : owner + 1] + moved + words[owner + 1 :]

    def _unknown_word(self, words: Words, place: int, word: str, context: ParserContext) -> Mistake:
        typed = words[place]
        flag = typed.partition("=")[0] if typed != word else words[place - 1] if place else ""
        argument = self._core.flags.get(flag) or context.flags.get(flag)
        if argument and argument.takes_value and argument.name != "help":  # Invoke reads a second value as a task
            return Mistake(f"use {flag} twice", "it has one value", shown=_help(context))
        if argument and typed != word and not argument.takes_value:
            return Mistake(f"use {typed}", f"{flag} takes no value", instead=_replaced(words, place, flag))
        tried, none = f"find the task {word}", "there is none of that name"
        if typed == word and (dotted := self._dotted(words, place)):
            return Mistake(tried, none, f"did you mean {dotted[0]}?", dotted[1])
        if word in self._groups:
            return Mistake(tried, "it is a group of tasks", shown=("--list", word))
        if word in self._stages(context):
            instead = _replaced(words, place, "--to", word)
            return Mistake(tried, none, f"it is a stage of {context.name}: did you mean --to {word}?", instead)
        near = self._nearest_tasks(word)
        if not near:
            return Mistake(tried, none)
        likely = f"did you mean {' or '.join(near)}?"
        instead = _replaced(words, place, typed.removesuffix(word) + near[0]) if len(near) == 1 else ()
        return Mistake(tried, none, likely, instead)

    def _dotted(self, words: Words, place: int) -> tuple[str, Words] | None:
        """A group and then a part of it (`lab istio canary`) are one name, and do not mean the whole group: that
        name, and the line with it. Flags may stand between."""
        groups = self._groups
        at = next((at for at in range(place, -1, -1) if words[at] in groups or words[at] in self._tasks), place)
        if words[at] not in groups:
            return None
        name, end = words[at], at + 1 if at == place else place
        while end < len(words) and name in groups and (part := self._part(name, words[end])):
            name, end = part, end + 1
        if name == words[at]:
            return None
        return name, (*words[:at], name, *words[at + 1 : place], *words[end:])

    def _part(self, group: str, word: str) -> str:
        """The group's part of that name, or that it is nearest to."""
        inside = [known for known in (*self._names, *self._groups) if known.startswith(f"{group}.")]
        exact = f"{group}.{word}"
        if exact in inside:
            return exact
        near = self._nearest_tasks(word)
        return near[0] if len(near) == 1 and near[0] in inside else ""

    def _without_value(self, words: Words, argument: Argument, context: ParserContext) -> Mistake:
        names = [f"-{name}" if len(name) == 1 else f"--{name}" for name in argument.names]
        place = max(place for place, word in enumerate(words) if word in names)
        tried, none = f"use {words[place]}", f"it needs a value: {argument.help}"
        if example := self._examples(context).get(argument.names[0]):
            return Mistake(tried, none, instead=(*words[: place + 1], example, *words[place + 1 :]))
        return Mistake(tried, none, shown=_help(context))

    def _unknown_group(self, words: Words, group: str) -> Mistake:
        tried, none = f"list {group}", "there is no group of tasks of that name"
        if group in self._names:
            return Mistake(tried, "it is a task", shown=("--help", group))
        near = nearest(group, self._groups)
        instead = tuple(word.removesuffix(group) + near if word.endswith(group) else word for word in words)
        return Mistake(tried, none, f"did you mean {near}?", instead) if near else Mistake(tried, none)

    def _nearest_tasks(self, name: str) -> list[str]:
        """By the last part of the name first: all tasks of a group are alike in the others. Several, where the last
        part is what they have in common (`cleanup`)."""
        alike = {known: (_alike(_last(name), _last(known)), _alike(name, known)) for known in self._names}
        best = max(alike.values())
        return [known for known, how in alike.items() if how == best] if best[0] >= _NEAR else []

    @property
    def _groups(self) -> list[str]:
        def below(collection: Collection, path: str = "") -> Iterator[str]:
            for name, inner in collection.collections.items():
                yield path + name
                yield from below(inner, f"{path}{name}.")

        return list(below(self._program.collection))

    def _lab(self, context: ParserContext) -> Lab | None:
        """The one lab that the task is about."""
        task = self._program.collection[context.name] if context.name else None
        return task.runbook.lab(task.labs[0]) if isinstance(task, LabTask) and len(task.labs) == 1 else None

    def _stages(self, context: ParserContext) -> Words:
        lab = self._lab(context)
        return (
            tuple(name for part in lab.parts if isinstance(part, Timeline) for name in part.stages) if lab else ()
        )

    def _examples(self, context: ParserContext) -> dict[str, str]:
        """A value for each flag of the task that has one."""
        lab, stages = self._lab(context), self._stages(context)
        defaults = {option.name: option.default for option in lab.options} if lab else {}
        examples = {"step": "1", **dict.fromkeys(("to",), stages[0] if stages else None), **defaults}
        return {name: value for name, value in examples.items() if isinstance(value, str)}


def _help(context: ParserContext) -> Words:
    return ("--help", context.name) if context.name else ("--help",)


def nearest(word: str, known: Iterable[str]) -> str:
    """The one that is near enough to be meant, else nothing."""
    alike = {name: _alike(word.lstrip("-"), name.lstrip("-")) for name in known}
    best = max(alike, key=lambda name: alike[name], default="")
    return best if best and alike[best] >= _NEAR else ""


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower().replace("_", "-"), other).ratio()


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _parts(word: str) -> Words:
    """What Invoke may have read the word as."""
    flag, _, value = word.partition("=")
    if word.startswith("-") and not word.startswith("--"):
        return (word, flag, value, *(f"-{sign}" for sign in flag[1:]))
    return (word, flag, value) if word.startswith("--") else (word,)


def _replaced(words: Words, place: int, *instead: str) -> Words:
    return words[:place] + instead + words[place + 1 :]
