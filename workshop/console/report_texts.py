"""A report for other readers than a browser: Markdown, and JSON.

JSON has all of it, and is what reports of several machines can be merged from; its `format` tells which keys there
are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from workshop.console import scales, words
from workshop.console.differences import flow
from workshop.console.markdown import escaped, fenced, paragraph, table
from workshop.console.record_view import moment, run_as_data, state_of
from workshop.console.report_page import MADE_BY, MEANING, run_title, state_of_lab, troubled
from workshop.console.timings_view import spent
from workshop.console.web_page import plain
from workshop.console.words import UNICODE
from workshop.runbook.record import HIDDEN, KeptVerdict, LabRecord, RunRecord, StepRecord, Trouble
from workshop.runbook.results import ABSENT, Difference, Measurement

FORMAT = 1
"""Of the JSON: another number where a key is not what it was."""

_CELLS = 20
"""Of a bar in Markdown."""


def report_markdown(runs: Sequence[RunRecord], title: str) -> str:
    blocks = [f"<!-- {MADE_BY} -->", f"# {escaped(title)}"]
    for run in runs:
        blocks += _run(run, several=len(runs) > 1)
    if troubles := list(troubled(runs)):
        blocks.append("## Errors")
        for run, lab, step in troubles:
            where = f"{lab.name}, step {step.step}" if lab and step else state_of(run)[1]
            blocks.append(paragraph(f"{run_title(run, several=True)}: {where}", bullet="- "))
    return plain("\n\n".join((*blocks, "## How to read this", paragraph(MEANING))) + "\n")


def _run(run: RunRecord, *, several: bool) -> Iterator[str]:
    yield f"## {escaped(run_title(run, several=several))}: {state_of(run)[1]}"
    versions = [f"{name} {version}" for name, version in run.versions.items()]
    facts = {
        "when": f"{moment(run.started):%Y-%m-%d %H:%M:%S %Z}",
        "typed": run.origin.command,
        "target": ", ".join(filter(None, (run.target, run.origin.place))),
        "took": words.duration(run.seconds) if run.seconds is not None else "",
        "time": spent(run.spent),
        "versions": ", ".join((*([f"Mesh Workshop {run.origin.version}"] * bool(run.origin.version)), *versions)),
        "to go on": run.resume,
    }
    yield table(("", ""), [(name, said) for name, said in facts.items() if said])
    rows = [
        (lab.name, lab.title, state_of_lab(lab, run), "" if lab.seconds is None else words.duration(lab.seconds))
        for lab in run.labs
    ]
    yield table(("lab", "what it does", "ended", "took"), rows)
    if run.trouble:
        yield _trouble(run.trouble)
    for lab in run.labs:
        if lab.steps:
            yield f"### {escaped(f'{lab.name}: {lab.title}' if lab.title else lab.name)}"
        for step in lab.steps:
            yield from _step(step)


def _step(step: StepRecord) -> Iterator[str]:
    took = "" if step.outcome == "skipped" else f", {words.duration(step.seconds)}"
    note = f" ({step.note})" if step.note and not step.trouble else ""
    yield paragraph(
        f": {step.outcome}{took}{note}", bullet=f"**{step.step}. {' '.join(escaped(step.title).split())}**"
    )
    if step.changes:
        yield fenced("diff", _changed(step.changes))
    for kept in step.verdicts:
        if kept.title:
            yield paragraph(f"{kept.title}:")
        for one in kept.verdict.measurements:
            yield from measured(one)
        yield paragraph(f"{kept.verdict.kind}: {kept.verdict.reason}")
    if step.trouble:
        yield _trouble(step.trouble)


def _changed(changes: Sequence[Difference]) -> Iterator[str]:
    signs = {"create": "+", "remove": "-", "change": "!"}
    for subject, group in words.by_subject(changes).items():
        kind = words.kind_of_change(group)
        yield f"{signs[kind]} {subject}"
        for item in group:
            if item.path and kind == "change":
                yield f"    {item.path}  {_shown(item.found)} {UNICODE.arrow} {_shown(item.wanted)}"


def _shown(given: object) -> str:
    return "(not kept)" if given is HIDDEN else flow(given)


def measured(one: Measurement) -> Iterator[str]:
    """Blocks of Markdown."""
    asked = one.samples + one.errors
    times = one.latencies
    late = f", P50 {words.latency(times.p50)}, P99 {words.latency(times.p99)}" if times else ""
    failed = f"{one.errors:,} failed" if one.errors else "none failed"
    yield paragraph(f"{one.title}: {asked:,} calls in {words.duration(one.seconds)}{late}, {failed}")
    if one.bars:
        rows = [
            (
                bar.label,
                scales.bar(bar.measured, _CELLS, UNICODE.full, UNICODE.eighths),
                words.percent(bar.measured),
                "" if bar.expected is None else words.percent(bar.expected),
                words.accepted(bar),
            )
            for bar in one.bars
        ]
        yield table(("answer", "share", "measured", "expected", "accepted"), rows)


def _trouble(trouble: Trouble) -> str:
    lines = [("came back", trouble.said), ("likely", trouble.cause), ("next", trouble.next_command)]
    return fenced("text", [f"{name:9}  {said}" for name, said in lines if said])


def report_json(runs: Sequence[RunRecord], title: str) -> str:
    data = {
        "made_by": MADE_BY,
        "format": FORMAT,
        "title": title,
        "runs": [_run_data(run) for run in runs],
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _run_data(run: RunRecord) -> dict[str, Any]:
    return {
        **({"member": run.member} if run.member else {}),
        **run_as_data(run),
        "resume": run.resume,
        "following": run.following,
        "spent": dict(run.spent),
        "error": _trouble_data(run.trouble),
        "versions": {**({"Mesh Workshop": run.origin.version} if run.origin.version else {}), **run.versions},
        "labs": [_lab_data(run, lab) for lab in run.labs],
    }


def _lab_data(run: RunRecord, lab: LabRecord) -> dict[str, Any]:
    return {
        "lab": lab.name,
        "title": lab.title,
        "spent": dict(lab.spent),
        "asked": lab.asked,
        "state": state_of_lab(lab, run),
        "seconds": lab.seconds,
        "steps": [
            {
                "step": step.step,
                "title": step.title,
                "outcome": step.outcome,
                "seconds": step.seconds,
                "ended": moment(step.ended).isoformat(timespec="milliseconds"),
                "note": step.note,
                "undone": step.undone,
                "applied": [_difference_data(item) for item in step.changes],
                "verdicts": [_verdict_data(kept) for kept in step.verdicts],
                "error": _trouble_data(step.trouble),
            }
            for step in lab.steps
        ],
    }


def _difference_data(item: Difference) -> dict[str, Any]:
    """A value that is not there, or was not kept, is no key."""
    both = {"found": item.found, "wanted": item.wanted}
    there = {name: given for name, given in both.items() if given is not ABSENT and given is not HIDDEN}
    return {"object": item.subject, "field": item.path, **there}


def _verdict_data(kept: KeptVerdict) -> dict[str, Any]:
    verdict = kept.verdict
    return {
        "title": kept.title,
        "verdict": verdict.kind,
        "reason": verdict.reason,
        "measurements": [_measurement_data(one) for one in verdict.measurements],
    }


def _measurement_data(one: Measurement) -> dict[str, Any]:
    times = one.latencies
    return {
        "title": one.title,
        "answers": one.samples,
        "errors": one.errors,
        "seconds": one.seconds,
        "shares": [
            {
                "label": bar.label,
                "measured": _number(bar.measured),
                "expected": bar.expected,
                "accepted": bar.accepted and list(bar.accepted),
            }
            for bar in one.bars
        ],
        "latencies": times
        and {
            "bounds": [_number(bound) for bound in times.bounds],
            "counts": list(times.counts),
            "p50": _number(times.p50),
            "p99": _number(times.p99),
        },
    }


def _number(given: float) -> float | None:
    """JSON has none that is infinite."""
    return given if math.isfinite(given) else None


def _trouble_data(trouble: Trouble | None) -> dict[str, str] | None:
    return (
        None
        if trouble is None
        else {"said": trouble.said, "cause": trouble.cause, "next_command": trouble.next_command}
    )
