"""The runs that a journal has kept, as values (`record`); of an older journal as far as it knew them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from workshop.runbook.journal import Journal
from workshop.runbook.record import (
    KeptVerdict,
    LabRecord,
    Origin,
    RunRecord,
    StepRecord,
    Trouble,
    differences_of,
    measurements_of,
)
from workshop.runbook.results import Verdict
from workshop.runbook.timings import Seconds

Row = dict[str, Any]


def _since(version: int, *names: str) -> dict[str, int]:
    return dict.fromkeys(names, version)


_RUN = {
    **_since(1, "id", "command", "target", "labs", "started", "seconds", "exit_status", "error"),
    **_since(4, "asked", "part", "moved", "resume", "cause", "next_command"),
    **_since(4, "folder", "variables", "holder", "place", "version"),
}
_STEP = {
    **_since(1, "run", "lab", "step", "title", "outcome", "seconds", "ended", "error"),
    **_since(4, "cause", "next_command", "note", "undone", "changes"),
}
_LAB = _since(4, "run", "place", "name", "title", "seconds", "converged")
_VERDICT = _since(4, "run", "lab", "step", "number", "title", "kind", "reason", "measurements")
_FOUND = _since(4, "run", "name", "version")
_SPENT = _since(3, "run", "lab", "kind", "seconds")
"""Columns of tables, and since which version of a journal there are; rows are in the order of the first one."""


def runs_of(journal: Journal, *, after: int = 0) -> tuple[RunRecord, ...]:
    """Those `after` the run of that number, first begun first. What an older journal has not kept is empty."""
    rows = _rows(journal, "runs", _RUN, after)  # first: of a run that is said to have ended, all is there then
    steps, labs = _by_run(_steps(journal, after)), _by_run(_rows(journal, "labs", _LAB, after))
    versions = _by_run(_rows(journal, "versions", _FOUND, after))
    spent = _by_run(_rows(journal, "timings", _SPENT, after))
    return tuple(_run(row, *(kept.get(row["id"], []) for kept in (steps, labs, versions, spent))) for row in rows)


def _rows(journal: Journal, table: str, columns: Mapping[str, int], after: int) -> list[Row]:
    """What a journal of an older version has not is empty text. The first column is a run's number."""
    found = journal.read("pragma user_version", ())
    version = int(found[0][0]) if found else 0
    if version < min(columns.values()):
        return []
    names = ", ".join(name if since <= version else f"'' as {name}" for name, since in columns.items())
    first = next(iter(columns))
    rows = journal.read(
        f"select {names} from {table} where {first} > ? order by {first}",  # noqa: S608 - names of our own
        (after,),
    )
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _by_run(rows: Iterable[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row.pop("run"), []).append(row)
    return found


def _steps(journal: Journal, after: int) -> list[Row]:
    """With their verdicts."""
    verdicts: dict[tuple[int, str, int], list[KeptVerdict]] = {}
    for row in _rows(journal, "verdicts", _VERDICT, after):
        verdict = Verdict(row["kind"], row["reason"], measurements_of(row["measurements"]))
        of = row["run"], row["lab"], row["step"]
        verdicts.setdefault(of, []).append(KeptVerdict(row["title"], verdict))
    steps = _rows(journal, "steps", _STEP, after)
    for row in steps:
        row["verdicts"] = tuple(verdicts.get((row["run"], row["lab"], row["step"]), ()))
    return steps


def _run(row: Row, steps: list[Row], labs: list[Row], versions: list[Row], spent: list[Row]) -> RunRecord:
    """Before labs had a table, their names were words of one column, as they still are for who looks in there."""
    words = row.pop("labs").split()
    labs = sorted(labs, key=lambda lab: int(lab.pop("place"))) or [{"name": name} for name in words]
    known = {lab["name"]: lab for lab in (*({"name": step["lab"]} for step in steps), *labs)}
    names = [lab["name"] for lab in labs]
    asked = tuple(json.loads(row.pop("asked") or "[]")) or tuple(names)
    before, _, after = (row.pop("part") or "1/1").partition("/")
    variables = json.loads(row.pop("variables") or "{}")
    origin = {name: row.pop(name) for name in ("command", "folder", "holder", "place", "version")}
    return RunRecord(
        number=row.pop("id"),
        origin=Origin(**origin, variables=variables),
        asked=asked,
        labs=tuple(
            _lab(known[name], steps, spent, asked=name in asked) for name in dict.fromkeys((*names, *known))
        ),
        part=(int(before), int(after)),
        moved=bool(row.pop("moved")),
        versions={each["name"]: each["version"] for each in versions},
        spent=_spent(spent, ""),
        following="" if row["error"] else row["next_command"],
        trouble=_trouble(row),
        **row,
    )


def _lab(row: Row, steps: list[Row], spent: list[Row], *, asked: bool) -> LabRecord:
    name = row["name"]
    lab = LabRecord(**{**row, "converged": bool(row.get("converged"))})
    own = tuple(_step(dict(step)) for step in steps if step["lab"] == name)
    return replace(lab, asked=asked, steps=own, spent=_spent(spent, name))


def _step(row: Row) -> StepRecord:
    trouble, changes = _trouble(row), differences_of(row.pop("changes") or "[]")
    return StepRecord(**{**row, "undone": bool(row["undone"])}, trouble=trouble, changes=changes)


def _spent(rows: list[Row], lab: str) -> Seconds:
    return {row["kind"]: row["seconds"] for row in rows if row["lab"] == lab}


def _trouble(row: Row) -> Trouble | None:
    """Takes those out of a row."""
    said, cause, next_command = row.pop("error"), row.pop("cause"), row.pop("next_command")
    return Trouble(said, cause, next_command) if said else None
