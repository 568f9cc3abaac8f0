"""What a person asked for on the command line, checked against the runbook before anything is looked at.

To take labs back is a request as well: for the clean-up of them and of the labs that need them (`clean_up_of`).
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workshop.runbook.assembly import refuse_mistakes
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab, Runbook, Timeline, Together
from workshop.runbook.options import Options


@dataclass(frozen=True, slots=True)
class Request:
    """`labs` by name; `command` as it was typed, for the hint how to go on; `options` are the labs' own.

    `only` refuses instead of converging needs; `step` runs one step; `to` moves straight to a stage; `restart`
    begins timelines at their first stage; `pause` waits before each change; `verify` also verifies what is
    unchanged; `timings` shows where the time went; `yes` answers the question before something is destroyed.
    `straight` goes to the last stage of each timeline without those before it; `proved` are labs that are verified
    where they are unchanged as well; without `proofs` nothing is verified, and what was applied stays to be proved
    by another run. `brief` is for a run whose unchanged steps say nothing that was asked: they are told together.
    `program` is how Invoke was called (with a profile, say), for the commands that errors name, and
    `activation` what a shell needs first to find it, if anything. `earlier` and `later` are the labs that the same
    command runs before and after these, in runs of their own, and `part` says which of how many this one is.
    """

    labs: tuple[str, ...]
    command: str = ""
    only: bool = False
    step: int | None = None
    to: str | None = None
    restart: bool = False
    pause: bool = False
    verify: bool = False
    timings: bool = False
    yes: bool = False
    straight: bool = False
    proved: tuple[str, ...] = ()
    proofs: bool = True
    brief: bool = False
    options: Mapping[str, Options] = field(default_factory=dict)
    program: str = "invoke"
    activation: str = ""
    earlier: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    part: tuple[int, int] = (1, 1)

    def validate(self, runbook: Runbook) -> None:
        """Raises UsageError for what the runbook does not have, or what contradicts itself."""
        known = [lab.name for lab in runbook.labs]
        for name in self.labs:
            if name not in known:
                raise _unknown(
                    f"lab {name}", "the labs are", known, f"{self.program} lab.{_nearest(name, known) or known[0]}"
                )
        refuse_mistakes(runbook, self.labs)
        for name in self.labs:
            self._validate_options(runbook.lab(name))
        given = self.beginnings()
        if len(given) > 1:
            raise UsageError(
                f"use {' and '.join(given)} together",
                "each says where to begin",
                cause="one is enough",
                next_command=self.retyped(dict.fromkeys(list(given)[1:])),
            )
        if self.step is None and self.to is None:
            return
        if len(self.labs) != 1:
            raise UsageError(f"use {next(iter(given))} for {len(self.labs)} labs", "it is about one lab")
        lab = runbook.lab(self.labs[0])
        if self.to is not None:
            self._validate_stage(lab, self.to)
        count = step_count(runbook, lab)
        if self.step is not None and not 1 <= self.step <= count:
            raise UsageError(
                f"run step {self.step} of {lab.name}",
                f"it has {f'steps 1 to {count}' if count > 1 else 'one step'}",
                next_command=f"{self.program} lab.{lab.name} --explain",
            )

    def taking_part(self, runbook: Runbook) -> tuple[Lab, ...]:
        """The labs that take part, in order: with those they need, unless these have to have converged."""
        labs = runbook.with_needs(self.labs)
        alone = self.only or self.step is not None
        return tuple(lab for lab in labs if lab.name in self.labs) if alone else labs

    def beginnings(self) -> dict[str, str | None]:
        """The flags given that say where to begin, with their values, if they have one."""
        values = {"--step": self.step, "--to": self.to}
        given: dict[str, str | None] = {flag: str(value) for flag, value in values.items() if value is not None}
        return given | ({"--restart": None} if self.restart else {})

    def retyped(self, instead: Mapping[str, str | None], name: str = "") -> str:
        """The line with other values of flags that a lab (the first, unless one is named) was given, or without
        those that are to be None. All else stays as it was typed."""
        lab = f"lab.{name or self.labs[0]}"
        given = self.beginnings() | {
            f"--{option}": str(value)
            for option, value in self.options.get(name or self.labs[0], {}).items()
            if value is not None
        }
        words = shlex.split(self.command)
        if lab not in words or not all(any(word.split("=")[0] == flag for word in words) for flag in instead):
            typed = [word for flag, value in given.items() for word in (flag, value) if word is not None]
            words = [*shlex.split(self.program), lab, *typed]
        line: list[str] = []
        rest, about = iter(words), ""
        for word in rest:
            about = word if word.startswith("lab.") else about
            flag, has_value, _ = word.partition("=")
            if about != lab or flag not in instead:
                line.append(word)
                continue
            if not has_value and given.get(flag) is not None:
                next(rest)
            value = instead[flag]
            line += [] if value is None else [flag, value]
        return shlex.join(line)

    def _validate_options(self, lab: Lab) -> None:
        all_given = self.options.get(lab.name, {})
        for option in lab.options:
            given = all_given.get(option.name)
            if given is not None and option.about and all_given.get(option.about) is None:
                raise UsageError(
                    f"use --{option.name} without --{option.about}",
                    f"it is about --{option.about} only",
                    next_command=f"{self.program} --help lab.{lab.name}",
                )
            if given is not None and (problem := option.problem(given)):
                raise UsageError(
                    f"use --{option.name} {shlex.quote(str(given))}",
                    problem,
                    next_command=self.retyped({f"--{option.name}": str(option.default)}, lab.name),
                )

    def _validate_stage(self, lab: Lab, stage: str) -> None:
        stages = [name for part in lab.parts if isinstance(part, Timeline) for name in (part.start, *part.stages)]
        if not stages:
            raise UsageError(
                f"move {lab.name} to {shlex.quote(stage)}",
                "it has no stages",
                next_command=self.retyped({"--to": None}),
            )
        if stage not in stages:
            command = self.retyped({"--to": _nearest(stage, stages) or stages[1]})
            raise _unknown(f"stage {shlex.quote(stage)} of {lab.name}", "its stages are", stages, command)

    def options_of(self, lab: Lab) -> Options:
        """The lab's options as given, else their defaults."""
        return {option.name: option.default for option in lab.options} | dict(self.options.get(lab.name, {}))


def step_count(runbook: Runbook, lab: Lab) -> int:
    """How many steps the lab has, each stage and each part of a `Together` one. A clean-up has one for each part
    that it undoes, a timeline being one."""
    if lab.undoes:
        parts = [part for name in lab.undoes for part in runbook.lab(name).parts]
        return sum(len(part.steps) if isinstance(part, Together) else 1 for part in parts)
    return sum(
        len(part.stages) if isinstance(part, Timeline) else len(part.steps) if isinstance(part, Together) else 1
        for part in lab.parts
    )


_NOT_TIMED = "and only a run is told where its time went"


def refuse_timings(request: Request, mode: str) -> None:
    """Raises UsageError where they are asked of what is no run: --plan, --explain or --dry."""
    if request.timings and mode:
        words = [word for word in request.command.split(" ") if word != "--timings"]
        raise UsageError(
            f"use --timings and {mode} together",
            f"{mode} changes nothing, {_NOT_TIMED}",
            next_command=" ".join(words),
        )


def going_on(command: str, *, moved: bool) -> str:
    """The command that goes on with what is left of it: as it was typed, without what would begin again and lose
    what a run has `moved`."""
    return " ".join(word for word in command.split(" ") if not (moved and word == "--restart"))


def refuse_with_check(request: Request, *, plan: bool, explain: bool, undo: bool) -> None:
    """Raises UsageError for what makes no sense with --check."""
    given = {
        "--plan": (plan, "--plan says what a run would change, --check measures as well"),
        "--explain": (explain, "--explain shows what to type, --check what came of it"),
        "--undo": (undo, "--check changes nothing"),
        "--verify": (
            request.verify,
            "--verify measures in a run, which goes on; --check measures and changes nothing",
        ),
        "--only": (request.only, "--check runs no lab that this one needs anyway"),
        "--pause": (request.pause, "--check changes nothing, so there is nothing to wait before"),
        "--restart": (request.restart, "--check changes nothing"),
        "--timings": (request.timings, f"--check is no run, {_NOT_TIMED}"),
    }
    for flag, (is_given, why) in given.items():
        if is_given:
            words = [word for word in request.command.split(" ") if word != flag]
            raise UsageError(f"use {flag} and --check together", why, next_command=" ".join(words))


def clean_up_of(runbook: Runbook, *names: str) -> tuple[Runbook, str]:
    """The runbook with the clean-up of these labs at its end, and that one's name: as it is typed."""
    taken_back = [lab for lab in runbook.labs if lab.name in names]
    affected = tuple(
        lab.name
        for lab in runbook.labs
        if not lab.undoes and any(one in taken_back for one in runbook.with_needs((lab.name,)))
    )
    others = ", ".join(name for name in affected if name not in names)
    with_them = f" With it goes what needs it: {others}." if others else ""
    these = "What this lab has" if len(taken_back) == 1 else "What these labs have"
    title = f"Take back: {', then '.join(lab.title for lab in reversed(taken_back))}"
    text = f"{these} made is taken back.{with_them}"
    lab = Lab(f"{' '.join(names)} --undo", title, text, undoes=affected, named=names)
    return Runbook((*runbook.labs, lab)), lab.name


def refuse_with_undo(request: Request, labs: tuple[str, ...]) -> None:
    """Raises UsageError for what makes no sense with --undo, of `labs`, its own and others."""
    asked = {
        "--to": request.to is not None,
        "--step": request.step is not None,
        "--restart": request.restart,
        "--only": request.only,
        "--verify": request.verify,
        **{f"--{name}": bool(value) for name, value in request.options.get(request.labs[0], {}).items()},
    }
    also = [flag for flag, given in {"--pause": request.pause, "--yes": request.yes}.items() if given]
    for flag, given in asked.items():
        if given:
            raise UsageError(
                f"use {flag} together with --undo",
                "--undo takes back the whole lab",
                next_command=" ".join((request.program, *(f"lab.{name}" for name in labs), "--undo", *also)),
            )


def _unknown(what: str, known_are: str, known: Iterable[str], command: str) -> UsageError:
    return UsageError(f"find the {what}", f"{known_are} {', '.join(known)}", next_command=command)


def _nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), "")
