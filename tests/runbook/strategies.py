"""Runbooks, worlds and requests that hypothesis draws, as small as shows what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.kit.engine import Bench, Moves, Object, Put, World, lab
from workshop.runbook.model import Lab, Part, Runbook, Together

FOREIGN: dict[str, Object] = {"not ours": (1, "")}

Draw = st.DrawFn


def runbook_of(labs: list[Lab]) -> Runbook:
    return Runbook((*labs, lab("cleanup", undoes=[item.name for item in labs])))


@dataclass
class Case:
    """`objects` are what is there; `labs` and `asked` the words of `Bench.run`."""

    runbook: Runbook
    objects: dict[str, Object]
    labs: list[str]
    asked: dict[str, Any] = field(default_factory=dict)

    def bench(self) -> Bench:
        return Bench(self.runbook, World(dict(self.objects)))

    @property
    def all_labs(self) -> list[str]:
        return [item.name for item in self.runbook.labs if not item.undoes]


@st.composite
def runbooks(draw: Draw) -> Runbook:
    """One to six labs that may need earlier ones. Two objects are moved by timelines, each of which takes over
    where the last one of the same object ends."""
    labs: list[Lab] = []
    ends: dict[str, tuple[str, str]] = {}
    for number in range(draw(st.integers(1, 6))):
        name = f"lab{number}"
        needs = draw(st.lists(st.sampled_from([item.name for item in labs]), unique=True)) if labs else []
        parts: list[Part] = []
        for part in range(draw(st.integers(0, 3))):
            halves = tuple(Put(f"{name}-{part}{half}") for half in "xy")
            parts.append(draw(st.sampled_from([Put(f"{name}-{part}"), Together(halves)])))
        if moved := draw(st.sampled_from(["", "red", "blue"])):
            before, start = ends.get(moved, ("", ""))
            stages = [f"{name}-stage{place}" for place in range(draw(st.integers(1, 4)))]
            timeline = Moves(moved, stages, start or "none", start, before)
            parts.insert(draw(st.integers(0, len(parts))), timeline)
            needs += [before] if before and before not in needs else []
            ends[moved] = name, stages[-1]
        labs.append(lab(name, *parts, needs=needs))
    return runbook_of(labs)


@st.composite
def objects(draw: Draw, runbook: Runbook, *, by_hand: bool = True) -> dict[str, Object]:
    """What runs may have left anywhere, and with `by_hand` what somebody has edited after one."""
    there = dict(FOREIGN)
    movers: dict[str, list[tuple[str, Moves]]] = {}
    for item in runbook.labs:
        for part in item.parts:
            for step in part.steps if isinstance(part, Together) else (part,):
                if isinstance(step, Moves):
                    movers.setdefault(step.name, []).append((item.name, step))
                elif isinstance(step, Put):
                    edited = [(2, item.name), (1, "somebody")] if by_hand else [(2, item.name)]
                    if found := draw(st.sampled_from([None, (1, item.name), *edited])):
                        there[step.name] = found
    for name, labs in movers.items():
        holder, timeline = draw(st.sampled_from(labs))
        if value := draw(st.sampled_from(["", *timeline.stages, "off the path"])):
            there[name] = value, holder
    return there


@st.composite
def cases(draw: Draw) -> Case:
    """Anything that can be asked for, anywhere."""
    runbook = draw(runbooks())
    known = [item for item in runbook.labs if not item.undoes]
    names = draw(st.lists(st.sampled_from([item.name for item in known]), min_size=1, unique=True))
    asked: dict[str, Any] = {"only": True} if draw(st.booleans()) else {}
    if len(names) == 1:
        timelines = [part for part in runbook.lab(names[0]).parts if isinstance(part, Moves)]
        where: list[dict[str, Any]] = [{}, {"step": 1}, {"step": 2}, {"step": 4}]
        where += [{"to": stage} for part in timelines for stage in (part.start, *part.stages)]
        where += [{"options": {names[0]: {"weights": "80/20"}}}] if timelines else []
        asked |= draw(st.sampled_from(where))
    if not {"to", "step", "options"} & asked.keys() and draw(st.booleans()):
        asked["restart"] = True
    return Case(runbook, draw(objects(runbook)), names, asked)
