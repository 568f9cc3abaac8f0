"""A report as one page: what became of each lab, what was applied, what was measured against what was expected, how
long it all took, what went wrong and what to type next. Of one run, of several, or of several people's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from workshop.console import svg, words
from workshop.console.differences import flow
from workshop.console.record_view import moment, state_of
from workshop.console.timings_view import spent
from workshop.console.web_page import Child, Markup, joined, links, listed, page, prose, table, tag
from workshop.console.words import UNICODE
from workshop.runbook.record import HIDDEN, KeptVerdict, LabRecord, RunRecord, StepRecord
from workshop.runbook.results import Bar, Difference, Measurement
from workshop.runbook.timings import Seconds

MADE_BY = "Mesh Workshop report"
"""By which a file is known to be one."""

_STATES = {
    "changed": "good",
    "unchanged": "same",
    "converged": "good",
    "pass": "good",
    "failed": "bad",
    "fail": "bad",
    "refused": "bad",
    "cut off": "bad",
    "inconclusive": "doubt",
    "interrupted": "doubt",
    "under way": "doubt",
}
"""The colour of a word; of any other it is that of what does not matter."""

MEANING = (
    "A proof states the share that each kind of answer is to have. A bar is what was measured, the mark across it"
    " what was expected, and the band behind it what is accepted: all that chance explains, and nothing that is"
    " wrong by as much as must be noticed. Histograms show how many of the answers took how long, all on the same"
    " axis; half of them were not slower than P50, and 99 % not slower than P99. Values that could be secret are"
    " not kept."
)

_SIGNS = {"good": UNICODE.changed, "bad": UNICODE.failed, "doubt": UNICODE.inconclusive}
_PLAIN = {"unchanged": UNICODE.unchanged}
_VERDICTS = {"pass": "proved", "fail": "failed", "inconclusive": "cannot tell"}
_CHANGES = {"create": "+", "remove": "\u2212", "change": "~"}


def report_page(runs: Sequence[RunRecord], title: str) -> str:
    """Raises ValueError without a run."""
    if not runs:
        raise ValueError("a report is of one run at least")
    entries: list[tuple[str, Child, Sequence[tuple[str, Child]]]] = [("overview", "Overview", ())]
    entries += _in_contents(runs)
    troubles = list(troubled(runs))
    if troubles:
        entries.insert(1, ("errors", f"Errors ({len(troubles)})", ()))
    body = [
        tag("h1", title),
        _overview(runs),
        _errors(troubles, several=len(runs) > 1),
        [_run(run, several=len(runs) > 1) for run in runs],
        _meaning(),
    ]
    return page(title, links(entries), body, made_by=MADE_BY, style=svg.STYLE + _STYLE)


def run_id(run: RunRecord) -> str:
    return "-".join(filter(None, (_word(run.member), f"run-{run.number}")))


def lab_id(run: RunRecord, lab: LabRecord) -> str:
    return f"{run_id(run)}-{_word(lab.name)}"


def _word(text: str) -> str:
    """For an id, in which no blank may be."""
    return "_".join(text.split())


def run_title(run: RunRecord, *, several: bool) -> str:
    if not several:
        return f"Run {run.number}"
    return "".join((f"{run.member}: " if run.member else "", f"Run {run.number}, ", run.origin.command))


def _in_contents(runs: Sequence[RunRecord]) -> Iterator[tuple[str, Child, Sequence[tuple[str, Child]]]]:
    """Of a class each member once, at the first of the runs: it has hundreds of labs, and one command for all."""
    members: set[str] = set()
    for run in runs:
        if not run.member or len(runs) == 1:
            labs = [(lab_id(run, lab), lab.name) for lab in run.labs]
            yield run_id(run), run_title(run, several=len(runs) > 1), labs
        elif run.member not in members:
            members.add(run.member)
            yield run_id(run), run.member, ()


def badge(word: str, state: str = "") -> Markup:
    """A word that says how something ended, with a sign, and in its colour."""
    state = state or _STATES.get(word, "dim")
    return tag("span", f"{_SIGNS.get(state, _PLAIN.get(word, UNICODE.skipped))} {word}", class_=f"badge {state}")


def state_of_lab(lab: LabRecord, run: RunRecord) -> str:
    found = {step.outcome for step in lab.steps}
    for worst in ("failed", "inconclusive"):
        if worst in found:
            return worst
    if lab.converged or (found and found <= {"changed", "unchanged"} and run.exit_status == 0):
        return "converged"
    return "not begun" if not found or found == {"skipped"} else "not finished"


def troubled(runs: Sequence[RunRecord]) -> Iterator[tuple[RunRecord, LabRecord | None, StepRecord | None]]:
    """What went wrong: a run as a whole, or one of its steps."""
    for run in runs:
        if run.trouble or (run.cut_off and run.exit_status is None):
            yield run, None, None
        for lab in run.labs:
            for step in lab.steps:
                if step.trouble or step.outcome in ("failed", "inconclusive"):
                    yield run, lab, step


def measurements(steps: Sequence[StepRecord]) -> list[Measurement]:
    return [one for step in steps for kept in step.verdicts for one in kept.verdict.measurements]


def _overview(runs: Sequence[RunRecord]) -> Child:
    steps = [step for run in runs for step in run.steps]
    counts = Counter(step.outcome for step in steps)
    verdicts = Counter[str](kept.verdict.kind for step in steps for kept in step.verdicts)
    measured = measurements(steps)
    asked = sum(one.samples + one.errors for one in measured)
    failed = sum(one.errors for one in measured)
    versions = dict.fromkeys((name, version) for run in runs for name, version in run.versions.items())
    facts = [
        ("when", _when(runs)),
        ("who", ", ".join(dict.fromkeys(run.member for run in runs if run.member))),
        ("typed", tag("code", runs[0].origin.command) if len(runs) == 1 and runs[0].origin.command else None),
        ("target", "; ".join(dict.fromkeys(_target(run) for run in runs))),
        ("steps", ", ".join(f"{counts[kind]} {kind}" for kind in words.ORDER if counts[kind])),
        (
            "proofs",
            ", ".join(f"{verdicts[kind]} {said}" for kind, said in _VERDICTS.items() if verdicts[kind]),
        ),
        ("requests", f"{asked:,} measured, {f'{failed:,} failed' if failed else 'none failed'}" if asked else ""),
        ("time", _spent(runs[0].spent) if len(runs) == 1 else ""),
        ("to go on", tag("code", runs[0].resume) if len(runs) == 1 and runs[0].resume else None),
        ("versions", ", ".join((*_workshop(runs), *(f"{name} {version}" for name, version in versions)))),
    ]
    rows = (
        [_lab_row(runs[0], lab) for lab in runs[0].labs]
        if len(runs) == 1
        else [_run_row(run, runs) for run in runs]
    )
    heads = ("lab" if len(runs) == 1 else "run", "ended", "steps", "when", "took")
    return tag(
        "section",
        tag("h2", "Overview", id="overview"),
        tag("p", badge(state_of(runs[0])[1]), class_="state") if len(runs) == 1 else None,
        listed(facts),
        table(heads, rows, "rows"),
    )


def _spent(seconds: Seconds) -> str:
    return f"{said} s" if (said := spent(seconds)) else ""


def _when(runs: Sequence[RunRecord]) -> str:
    first, last = moment(runs[0].started), moment(runs[-1].started + (runs[-1].seconds or 0))
    took = words.duration(sum(run.seconds or 0.0 for run in runs))
    if len(runs) == 1:
        return f"{first:%A, %-d %B %Y, %H:%M %Z}" + (f", took {took}" if runs[0].seconds is not None else "")
    end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%A, %-d %B %Y, %H:%M}"
    return f"{first:%A, %-d %B %Y, %H:%M} to {end} {first:%Z}; {took} in {len(runs)} runs"


def _target(run: RunRecord) -> str:
    return ", ".join(filter(None, (run.target, run.origin.place)))


def _workshop(runs: Sequence[RunRecord]) -> list[str]:
    return [f"Mesh Workshop {one}" for one in dict.fromkeys(run.origin.version for run in runs) if one]


def _lab_row(run: RunRecord, lab: LabRecord) -> Sequence[Child]:
    begin, end = span_of(lab)
    whole = run.seconds or max((step.ended for step in run.steps), default=run.started) - run.started
    state = state_of_lab(lab, run)
    counts = Counter(step.outcome for step in lab.steps)
    return (
        tag("a", lab.name, href=f"#{lab_id(run, lab)}"),
        badge(state),
        ", ".join(f"{counts[kind]} {kind}" for kind in words.ORDER if counts[kind]),
        svg.span_bar(begin - run.started, end - run.started, whole, _STATES.get(state, "")) if end else None,
        words.duration(lab.seconds if lab.seconds is not None else end - begin) if end else None,
    )


def span_of(lab: LabRecord) -> tuple[float, float]:
    """When its first step began and its last one ended; zeros where none did."""
    ran = [step for step in lab.steps if step.outcome != "skipped"]
    if not ran:
        return 0.0, 0.0
    return min(step.ended - step.seconds for step in ran), max(step.ended for step in ran)


def _run_row(run: RunRecord, runs: Sequence[RunRecord]) -> Sequence[Child]:
    begin = min(one.started for one in runs)
    whole = max(one.started + (one.seconds or 0.0) for one in runs) - begin
    word = state_of(run)[1]
    counts = run.counts
    seconds = run.seconds or 0.0
    bar = svg.span_bar(run.started - begin, run.started - begin + seconds, whole, _STATES.get(word, ""))
    return (
        tag("a", run_title(run, several=True), href=f"#{run_id(run)}"),
        badge(word),
        ", ".join(f"{counts[kind]} {kind}" for kind in words.ORDER if counts.get(kind)),
        bar,
        words.duration(seconds) if run.seconds is not None else None,
    )


def _errors(troubles: Sequence[tuple[RunRecord, LabRecord | None, StepRecord | None]], *, several: bool) -> Child:
    if not troubles:
        return None
    items = []
    for run, lab, step in troubles:
        where = run_title(run, several=several) if lab is None else f"{lab.name}, step {step.step if step else 0}"
        name = f"{run_title(run, several=True)}: {where}" if several and lab else where
        link = tag("a", name, href=f"#{lab_id(run, lab) if lab else run_id(run)}")
        items.append(tag("li", tag("p", link, ": ", step.title if step else state_of(run)[1]), _said(run, step)))
    return tag("section", tag("h2", "Errors", id="errors"), tag("ol", items, class_="errors"))


def _said(run: RunRecord, step: StepRecord | None) -> Child:
    """What an error or a verdict says, and what to type."""
    trouble = step.trouble if step else run.trouble
    worst = [kept.verdict.reason for kept in step.verdicts if kept.verdict.kind != "pass"][-1:] if step else []
    killed = run.cut_off and run.exit_status is None
    following = (trouble.next_command if trouble else "") or run.resume or run.following
    following = following or (run.origin.command if killed else "")
    if not trouble and not step and killed:
        worst = ["it was killed, or the machine went away"]
    return listed(
        [
            ("came back", trouble.said if trouble else "".join(worst)),
            ("likely", trouble.cause if trouble else ""),
            ("next", tag("code", following) if following else None),
        ],
        "facts trouble",
    )


def _run(run: RunRecord, *, several: bool) -> Markup:
    facts: list[tuple[str, Child]] = [
        ("when", f"{moment(run.started):%A, %-d %B %Y, %H:%M:%S %Z}"),
        ("typed", tag("code", run.origin.command)),
        ("target", _target(run)),
        ("took", words.duration(run.seconds) if run.seconds is not None else ""),
        ("time", _spent(run.spent)),
        ("versions", ", ".join((*_workshop([run]), *(f"{name} {what}" for name, what in run.versions.items())))),
        ("part", "{} of {} of this command".format(*run.part) if run.part[1] > 1 else ""),
        ("to go on", tag("code", run.resume) if run.resume else None),
    ]
    heading = tag("h2", run_title(run, several=several), " ", badge(state_of(run)[1]), id=run_id(run))
    return tag(
        "section",
        heading,
        listed(facts) if several else None,
        _said(run, None) if run.trouble and several else None,
        [_lab(run, lab) for lab in run.labs],
    )


def _lab(run: RunRecord, lab: LabRecord) -> Markup:
    title = f"{lab.name}: {lab.title}" if lab.title else lab.name
    about = ("" if lab.asked else "Needed by what was asked for.", _spent(lab.spent).capitalize())
    note = " ".join(filter(None, about))
    return tag(
        "section",
        tag("h3", title, " ", badge(state_of_lab(lab, run)), id=lab_id(run, lab)),
        tag("p", note, class_="dim") if note else None,
        tag("ol", [_step(run, step) for step in lab.steps], class_="steps"),
    )


def _step(run: RunRecord, step: StepRecord) -> Markup:
    note = step.note if not step.trouble else ""
    head = tag(
        "p",
        badge(step.outcome),
        tag("span", f"{step.step}. {step.title}", class_="title"),
        tag("span", note, class_="dim") if note else None,
        tag("span", words.duration(step.seconds), class_="time") if step.outcome != "skipped" else None,
        class_="head keep",
    )
    return tag(
        "li",
        head,
        _changes(step.changes) if step.changes else None,
        tag("p", "Taken back again.", class_="dim") if step.undone else None,
        [_verdict(kept) for kept in step.verdicts],
        _said(run, step) if step.trouble else None,
    )


def _changes(changes: Sequence[Difference]) -> Markup:
    items = []
    for subject, group in words.by_subject(changes).items():
        kind = words.kind_of_change(group)
        fields = [
            tag("li", tag("code", item.path), " ", *_from_to(item))
            for item in group
            if item.path or kind == "change"
        ]
        said = tag("span", f"{_CHANGES[kind]} {subject}")
        items.append(tag("li", said, tag("ul", fields) if fields and kind == "change" else None))
    return tag("ul", items, class_="changes")


def _from_to(item: Difference) -> tuple[Child, ...]:
    return value(item.found), f" {UNICODE.arrow} ", value(item.wanted)


def value(given: object) -> Markup:
    if given is HIDDEN:
        return tag("i", "(not kept)", class_="dim")
    return tag("span", flow(given))


def _verdict(kept: KeptVerdict) -> Markup:
    verdict = kept.verdict
    state = _STATES[verdict.kind]
    said = tag("p", badge(_VERDICTS[verdict.kind], state), " ", prose(verdict.reason), class_=f"verdict {state}")
    title = tag("p", kept.title, class_="measured") if kept.title else None
    return tag("div", title, [_measurement(one) for one in verdict.measurements], said)


def _measurement(one: Measurement) -> Markup:
    """As a table, for its numbers are what is read aloud."""
    asked = one.samples + one.errors
    facts = [words.count(asked, "call" if one.errors else "answer"), f"in {words.duration(one.seconds)}"]
    if one.latencies:
        facts += [f"P50 {words.latency(one.latencies.p50)}", f"P99 {words.latency(one.latencies.p99)}"]
    failed = f"{one.errors:,} failed ({words.percent(one.errors / asked)})" if one.errors else "none failed"
    caption = f"{one.title}: {f' {UNICODE.dot} '.join((*facts, failed))}"
    compared = any(bar.expected is not None for bar in one.bars)
    heads = ["", "share", "measured", *(("expected", "accepted") if compared else ())]
    rows = []
    for bar in one.bars:
        row: list[Child] = [bar.label, svg.share_bar(bar), words.percent(bar.measured)]
        if compared:
            row += [words.percent(bar.expected) if bar.expected is not None else None, _accepted(bar, one)]
        rows.append(row)
    histogram = svg.histogram(one.latencies) if one.latencies and sum(one.latencies.counts) else None
    shares = table(heads, rows, "shares", caption) if rows else tag("p", caption, class_="dim")
    return joined(shares, histogram)


def _accepted(bar: Bar, one: Measurement) -> Child:
    """Without answers nothing is told, also not that none of them is right where none is expected."""
    if bar.accepted is None:
        return None
    low, high = bar.accepted
    inside, told = low <= bar.measured <= high, one.samples > 0 or any(each.measured for each in one.bars)
    state = ("good" if inside else "bad") if told else ""
    sign = tag(
        "span", _SIGNS.get(state, ""), class_=f"sign {state}", title="in the range" if inside else "out of it"
    )
    return joined(words.accepted(bar), " ", sign if state else None)


def _meaning() -> Markup:
    return tag("section", tag("h2", "How to read this", id="meaning"), tag("p", MEANING))


_STYLE = """
.badge { display: inline-block; padding: 0 0.5rem; border-radius: 999px; font-size: 0.8rem; font-weight: 600;
  line-height: 1.5rem; white-space: nowrap; border: 1px solid var(--line); color: var(--dim); }
.badge.good { color: var(--good); background: var(--good-soft); border-color: transparent; }
.badge.bad { color: var(--bad); background: var(--bad-soft); border-color: transparent; }
.badge.doubt { color: var(--doubt); background: var(--doubt-soft); border-color: transparent; }
h2 .badge, h3 .badge { vertical-align: middle; margin-left: 0.35rem; }
.rows tbody th { overflow-wrap: normal; }
.rows td:nth-child(4) { width: 30%; }
.rows td { vertical-align: middle; }
.rows td:nth-child(5) { white-space: nowrap; }
.steps { list-style: none; margin: 0; padding: 0; }
.steps .head { margin: 0.25rem 0; }
.steps > li { border-left: 2px solid var(--line); padding: 0.1rem 0 0.35rem 1rem; }
.head { display: flex; flex-wrap: wrap; gap: 0.2rem 0.75rem; align-items: baseline; max-width: none; }
.head .title { font-weight: 600; }
.head .time { margin-left: auto; color: var(--dim); font-variant-numeric: tabular-nums; }
.changes, .changes ul { list-style: none; margin: 0.2rem 0; padding: 0; font-size: 0.9rem;
  overflow-wrap: anywhere; }
.changes ul { padding-left: 1.2rem; color: var(--dim); }
.measured { font-weight: 600; }
.sign { font-weight: 700; }
.sign.good { color: var(--good); }
.sign.bad { color: var(--bad); }
.shares { table-layout: fixed; max-width: 52rem; }
.shares thead th:nth-child(1) { width: 22%; }
.shares thead th:nth-child(3), .shares thead th:nth-child(4) { width: 13%; }
.shares thead th:nth-child(5) { width: 19%; }
.shares td, .shares tbody th { vertical-align: middle; }
.verdict { max-width: none; }
.errors { padding-left: 1.3rem; }
.trouble { border-left: 3px solid var(--bad); padding-left: 0.9rem; }
@media (max-width: 600px) {
  .rows th:nth-child(4), .rows td:nth-child(4), .rows th:nth-child(3), .rows td:nth-child(3) { display: none; }
  .steps > li { padding-left: 0.6rem; }
  .shares thead th:nth-child(1) { width: 24%; }
  .shares thead th:nth-child(3), .shares thead th:nth-child(4) { width: 17%; }
  .shares thead th:nth-child(5) { width: 22%; }
}
@media print { .shares, .histogram { break-inside: avoid; } }
"""
