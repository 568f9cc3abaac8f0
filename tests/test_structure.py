"""The two buildings as docs/architecture.md has them, beyond the arrows that import-linter keeps."""

from __future__ import annotations

import re
from collections import Counter
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import grimp
import pytest

from workshop.settings import ROOT

PACKAGES = ("workshop", "labs", "sandbox")


def modules(building: str) -> list[Path]:
    return [file.relative_to(ROOT) for file in (ROOT / building).rglob("*.py")]


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Import-linter's layers say nothing of modules that share one. Imports inside functions count as well."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    TopologicalSorter({each: graph.find_modules_directly_imported_by(each) for each in graph.modules}).prepare()


@pytest.mark.parametrize("building", ["workshop", "sandbox"])
def test_a_file_is_found_by_its_name(building: str) -> None:
    times = Counter(file.name for file in modules(building) if not file.name.startswith("__"))
    assert [name for name, count in times.items() if count > 1] == []


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)`", text)
    there = [f"/{file}" for folder in (*PACKAGES, "tests", "tools") for file in modules(folder)] + ["/tasks.py"]
    assert len(named) > 50
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in there)] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    folders = ("docs", "sandbox", "labs", "benchmarks", "tests")
    pages = [*ROOT.glob("*.md"), *chain.from_iterable((ROOT / folder).rglob("*.md") for folder in folders)]
    assert len(pages) > 20
    for page in pages:
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.relative_to(ROOT)}: {link}"
            if anchor:
                heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
                assert anchor in map(slug, heads), f"{page.relative_to(ROOT)}: {link}"


def test_the_glossary_has_each_word_once() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (?!meaning)", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.M)
    words = Counter(chain.from_iterable(row.split(", ") for row in rows))
    assert len(words) > 80
    assert [word for word, count in words.items() if count > 1] == []


def slug(head: str) -> str:
    """As GitHub makes a heading's anchor."""
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")
