"""Reports in all their forms, of runs with one of everything: what is said in each, and that what others have
written stays text."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from tests.console.records import BEGAN, DAY, FAILED, HOSTILE, HOSTILE_RUN, KILLED, REFUSED
from workshop.console.junit import report_junit
from workshop.console.record_view import moment, run_as_data
from workshop.console.report_page import report_page
from workshop.console.report_texts import report_json, report_markdown
from workshop.console.web_page import plain, tag
from workshop.runbook.record import RunRecord, Trouble

SEEN = re.compile(r"\s+").sub(" ", plain(HOSTILE)).strip()


class Page(HTMLParser):
    """What a browser would make of it: tags that are closed in their order, ids, links, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.open.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += f" {data}"


@pytest.mark.parametrize("runs", [(FAILED,), (KILLED,), (REFUSED,), (HOSTILE_RUN,), DAY])
def test_a_page_is_whole_and_its_links_lead_somewhere(runs: tuple[object, ...]) -> None:
    page = Page(report_page(runs, HOSTILE))  # type: ignore[arg-type]
    assert len(page.ids) == len(set(page.ids))
    assert {link for link in page.links if not link.startswith("#")} == set(), "nothing from elsewhere"
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert not page.tags.keys() & {"script", "link", "img", "iframe", "object", "form", "star"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert page.tags["h1"] == 1


def test_the_contents_of_a_class_are_its_members() -> None:
    runs = tuple(replace(FAILED, member=name, number=number) for name in ("ada", "ben") for number in (1, 2))
    contents = report_page(runs, "class").partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r">(ada|ben|istio[^<]*)<", contents) == ["ada", "ben"]
    assert contents.count("<li>") == len(("overview", "errors", "ada", "ben"))


def test_what_others_have_written_stays_text() -> None:
    said = Page(report_page(DAY, HOSTILE)).text
    assert " ".join(said.split()).count(SEEN) > 10
    assert "<script" not in report_page(DAY, HOSTILE)
    for form in (report_page(DAY, HOSTILE), report_markdown(DAY, HOSTILE), report_junit(DAY, HOSTILE)):
        assert "\x1b" not in form
        assert "\x00" not in form


def test_the_page_says_what_was_measured_against_what_was_expected() -> None:
    page = Page(report_page([FAILED], "Mesh Workshop: run 7"))
    said = " ".join(page.text.split())
    for wanted in (
        "typed invoke lab.istio.canary",
        "steps 2 failed, 1 inconclusive, 1 changed, 2 unchanged, 1 skipped",
        "proofs 2 proved, 1 failed, 1 cannot tell",
        "requests 3,012 measured, 12 failed",
        "time looking 0.5, proving 9.2 s to go on invoke lab.istio.canary",
        "5 % of the calls to v3 How long pages took",
        "versions Mesh Workshop 0.1.0, Istio 1.31.1, Kubernetes 1.36.1",
        "v1, no stars 49.3 % 50.0 % 45.0\u201355.0 % ✓",
        "answered 71.0 % 50.0 % 45.0\u201355.0 % ✗",
        "How long pages took: 900 answers · in 9.0 s · P50 8.0 ms · P99 3.10 s · none failed",
        "spec.http[0].route[0].weight 33 → 50",
        "spec.token (not kept) → (not kept)",
        "came back read it: no likely it is gone next invoke lab.istio.canary",
    ):
        assert wanted in said, wanted
    assert page.tags["svg"] == 2 + 3 + 1 + 1 + 2, "labs, shares and a histogram"
    assert (
        "aria-label",
        "Times of 900 answers, from 1 ms to 10 s: half took at most 8.0 ms, 99 % at most 3.10 s",
    ) in (page.attributes)


def test_a_lab_s_span_is_from_its_first_step_s_begin_to_its_last_one_s_end() -> None:
    spans = re.findall(r'<rect x="([\d.]+)" y="2" width="([\d.]+)"', report_page([FAILED], "Run"))
    assert [tuple(map(float, span)) for span in spans] == [
        (pytest.approx(0.5 / 14 * 100, abs=0.01), pytest.approx(1.5 / 14 * 100, abs=0.01)),
        (pytest.approx(0.5 / 14 * 100, abs=0.01), pytest.approx(9.5 / 14 * 100, abs=0.01)),
    ]


@pytest.mark.parametrize(
    ("run", "errors"),
    [
        (KILLED, ["Run 8: cut off came back it was killed, or the machine went away next invoke lab.istio"]),
        (replace(KILLED, exit_status=130, resume="invoke lab.istio"), []),
        (replace(KILLED, under_way=True), []),
        (replace(REFUSED, trouble=Trouble("no", "why", "do")), ["Run 9: failed came back no likely why next do"]),
    ],
)
def test_what_ended_a_run_as_a_whole_is_an_error_and_an_interruption_is_none(
    run: RunRecord, errors: list[str]
) -> None:
    said = " ".join(Page(report_page([run], "Run")).text.split())
    listed = re.findall(r" Errors (Run .*?) Run \d", said)
    assert [" ".join(one.replace(" : ", ": ").split()) for one in listed] == errors


def test_markdown_has_the_same_in_blocks_of_its_own() -> None:
    document = report_markdown(DAY, HOSTILE)
    tokens = MarkdownIt("commonmark").enable("table").parse(document)
    assert not [token for token in tokens if token.type == "html_block" and "report" not in token.content]
    inline = [child for token in tokens if token.type == "inline" for child in token.children or ()]
    assert {child.type for child in inline} <= {
        "text",
        "text_special",
        "softbreak",
        "code_inline",
        "strong_open",
        "strong_close",
    }
    cells = [token.content for token in tokens if token.type == "inline"]
    for wanted in ("49.3 %", "45.0\u201355.0 %", "Mesh Workshop 0.1.0, Istio 1.31.1, Kubernetes 1.36.1"):
        assert wanted in cells
    fences = [token.content for token in tokens if token.type == "fence"]
    assert "came back  read it: no\nlikely     it is gone\nnext       invoke lab.istio.canary\n" in fences


def test_json_has_all_of_it_in_numbers_that_any_reader_takes() -> None:
    def never(constant: str) -> None:
        raise AssertionError(constant)

    data = json.loads(report_json(DAY, "Day"), parse_constant=never)
    assert (data["made_by"], data["format"], len(data["runs"])) == ("Mesh Workshop report", 1, 4)
    run = data["runs"][0]
    assert run["started"] == moment(BEGAN).isoformat()
    assert run["spent"] == {"looking": 0.5, "proving": 9.25}
    assert run["versions"] == {"Mesh Workshop": "0.1.0", "Istio": "1.31.1", "Kubernetes": "1.36.1"}
    _, canary = run["labs"]
    half = canary["steps"][1]
    assert half["applied"][0] == {
        "object": "VirtualService bookinfo/reviews",
        "field": "spec.http[0].route[0].weight",
        "found": 33,
        "wanted": 50,
    }
    assert half["applied"][1] == {"object": "VirtualService bookinfo/reviews", "field": "spec.token"}
    (stars,) = half["verdicts"][0]["measurements"]
    assert stars["shares"][0] == {
        "label": "v1, no stars",
        "measured": 0.493,
        "expected": 0.5,
        "accepted": [0.45, 0.55],
    }
    (times,) = half["verdicts"][1]["measurements"]
    assert times["latencies"] == {
        "bounds": [0.0, 0.005, 0.01, 0.02, 2.0, 5.0, None],
        "counts": [100, 500, 75, 0, 225, 0],
        "p50": 0.008,
        "p99": 3.1,
    }
    assert canary["steps"][4]["error"]["next_command"] == "invoke lab.istio.canary"
    assert run_as_data(KILLED)["state"] == data["runs"][1]["state"] == "cut off"


SCHEMA = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp"},
        {"properties", "testcase"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"skipped", "error", "failure", "system-out"}),
    "skipped": ({"message"}, set()),
    "error": ({"message", "type"}, set()),
    "failure": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}
"""Elements, their attributes and children, as far as we use them, of junit-10.xsd of Jenkins' xUnit plugin."""
NUMBERS = {"tests", "failures", "errors", "skipped"}


@pytest.mark.parametrize("runs", [(FAILED,), (KILLED,), (REFUSED,), DAY])
def test_junit_is_of_the_schema_that_ci_systems_read(runs: tuple[object, ...]) -> None:
    root = ElementTree.fromstring(report_junit(runs, HOSTILE))  # type: ignore[arg-type]  # noqa: S314
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = SCHEMA[element.tag]
        assert set(element.attrib) <= attributes
        assert {child.tag for child in element} <= children
        for name, text in element.attrib.items():
            assert name not in NUMBERS or text.isdecimal()
            assert name != "time" or re.fullmatch(r"\d+\.\d{3}", text)
            assert name != "timestamp" or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text)
    for suite in root:
        order = [child.tag for child in suite]
        assert order == sorted(order, key=["properties", "testcase"].index)
        assert order.count("properties") == 1
        kinds = Counter(child.tag for case in suite.iter("testcase") for child in case)
        assert [int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped")] == [
            len(suite.findall("testcase")),
            *(kinds[kind] for kind in ("failure", "error", "skipped")),
        ]
    for name in ("tests", "failures", "errors"):
        assert int(root.get(name, "")) == sum(int(suite.get(name, "")) for suite in root)


def test_what_failed_by_its_verdict_is_a_failure_and_the_rest_an_error() -> None:
    root = ElementTree.fromstring(report_junit([FAILED], "Run"))  # noqa: S314
    found = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert found == {
        "1. Open a port": [],
        "1. Name the versions": [],
        "2. Half to v1, half to v3": ["system-out"],
        "3. All requests to v3": ["failure", "system-out"],
        "4. Cannot be told": ["error"],
        "5. It broke": ["error"],
        "6. Never came": ["skipped"],
    }
    (broke,) = [error for error in root.iter("error") if error.get("type") == "error"]
    assert broke.text == "read it: no\nlikely: it is gone\nnext: invoke lab.istio.canary"


def test_an_attribute_cannot_be_left() -> None:
    assert tag("a", "<b>", title='"><b onx="', href=None, hidden=True) == (
        '<a title="&quot;&gt;&lt;b onx=&quot;" hidden>&lt;b&gt;</a>'
    )
