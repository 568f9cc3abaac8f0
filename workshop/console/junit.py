"""A report as JUnit's XML, which CI systems show: a run's lab is a suite and a step a case. A step that failed by
its verdict is a failure; what went wrong otherwise, or could not be told, is an error.

The schema is the one that Jenkins' xUnit plugin has (junit-10.xsd), as other readers expect it, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from workshop.console.record_view import moment, state_of
from workshop.console.report_page import MADE_BY, run_title
from workshop.console.report_texts import measured
from workshop.console.web_page import plain
from workshop.runbook.record import LabRecord, RunRecord, StepRecord, Trouble


def report_junit(runs: Sequence[RunRecord], title: str) -> str:
    suites = [suite for run in runs for suite in _suites(run)]
    root = ElementTree.Element("testsuites", {"name": title, **_sums(suites)})
    root.extend(suites)
    ElementTree.indent(root)
    text = plain(ElementTree.tostring(root, encoding="unicode"))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {MADE_BY} -->\n{text}\n'


def _suites(run: RunRecord) -> Iterator[ElementTree.Element]:
    if run.trouble or not run.steps:
        cases = [_case(run, run_title(run, several=True), "run", run.seconds or 0.0)]
        if run.trouble or run.exit_status != 0:
            trouble = run.trouble or Trouble(f"{state_of(run)[1]} before its first step")
            _told(cases[0], "error", "run", trouble)
        yield _suite(run, "run", run.seconds or 0.0, cases)
    for lab in run.labs:
        if lab.steps:
            seconds = lab.seconds if lab.seconds is not None else sum(step.seconds for step in lab.steps)
            yield _suite(run, lab.name, seconds, [_step_case(run, lab, step) for step in lab.steps])


def _suite(run: RunRecord, name: str, seconds: float, cases: Sequence[ElementTree.Element]) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": f"{run.member}.{name}" if run.member else name,
            "timestamp": f"{moment(run.started):%Y-%m-%dT%H:%M:%S}",
            **_sums(cases),
            "time": f"{seconds:.3f}",
        },
    )
    facts = {
        "run": str(run.number),
        "command": run.origin.command,
        "target": run.target,
        "place": run.origin.place,
        "Mesh Workshop": run.origin.version,
        **run.versions,
    }
    properties = ElementTree.SubElement(suite, "properties")
    for key, said in facts.items():
        if said:
            ElementTree.SubElement(properties, "property", name=key, value=said)
    suite.extend(cases)
    return suite


def _sums(elements: Sequence[ElementTree.Element]) -> dict[str, str]:
    """Of cases, or of suites."""
    sums = Counter[str]()
    seconds = 0.0
    for element in elements:
        seconds += float(element.get("time", 0))
        if element.tag == "testsuite":
            for name in ("tests", "failures", "errors", "skipped"):
                sums[name] += int(element.get(name, 0))
        else:
            kinds = {child.tag for child in element}
            sums["tests"] += 1
            for name, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                sums[name] += child in kinds
    named = {name: str(sums[name]) for name in ("tests", "failures", "errors")}
    if not elements or elements[0].tag == "testcase":
        named["skipped"] = str(sums["skipped"])
    return {**named, "time": f"{seconds:.3f}"}


def _case(run: RunRecord, name: str, of: str, seconds: float) -> ElementTree.Element:
    return ElementTree.Element(
        "testcase",
        classname=f"{run.member}.{of}" if run.member else of,
        name=name,
        time=f"{seconds:.3f}",
    )


def _step_case(run: RunRecord, lab: LabRecord, step: StepRecord) -> ElementTree.Element:
    case = _case(run, f"{step.step}. {step.title}", lab.name, step.seconds)
    reasons = "; ".join(kept.verdict.reason for kept in step.verdicts if kept.verdict.kind != "pass")
    if step.outcome == "skipped":
        ElementTree.SubElement(case, "skipped", message=step.note)
    elif step.outcome == "failed" and not step.trouble:
        _told(case, "failure", "verdict", Trouble(reasons or "failed"))
    elif step.outcome in ("failed", "inconclusive"):
        kind = "error" if step.outcome == "failed" else "inconclusive"
        _told(case, "error", kind, step.trouble or Trouble(reasons or step.note or step.outcome))
    said = "\n\n".join(
        block for kept in step.verdicts for one in kept.verdict.measurements for block in measured(one)
    )
    if said:
        ElementTree.SubElement(case, "system-out").text = said
    return case


def _told(case: ElementTree.Element, kind: str, type_: str, trouble: Trouble) -> None:
    told = ElementTree.SubElement(case, kind, message=trouble.said, type=type_)
    lines = (("likely", trouble.cause), ("next", trouble.next_command))
    told.text = "\n".join((trouble.said, *(f"{name}: {said}" for name, said in lines if said)))
