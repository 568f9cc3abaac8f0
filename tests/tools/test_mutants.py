"""Mutants of a checkout of a few lines."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tools.mutants import apart, in_order, mutants

TOOL = Path(__file__).resolve().parents[2] / "tools/mutants.py"

CODE = """
import functools


@functools.lru_cache(maxsize=7)
def larger(a, b):
    return a if a > b else b


def untested(a):
    return a + 1


def up_to(n):
    while n < 3:
        n += 1
    return n
"""

MORE = """
def new(a):
    return a > 7
"""

TESTS = """
from {package}.{module} import larger, up_to


def test_larger():
    assert [larger(1, 2), larger(2, 1)] == [2, 2]


def test_up_to():
    assert up_to(0) == 3
"""


SLOW = """
from {package}.{module} import untested


def test_that_is_left_aside():
    assert untested(1) == 2
"""


def checkout(root: Path, package: str, module: str, code: str = CODE) -> Path:
    """Code and its tests, which are in a file that does not mirror the module."""
    for file, text in {
        f"{package}/__init__.py": "",
        f"{package}/{module}.py": code,
        "tests/test_all.py": TESTS.format(package=package, module=module),
        "tests/test_slow.py": SLOW.format(package=package, module=module),
        "pyproject.toml": "[tool.pytest.ini_options]\n",
    }.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return root


def test_what_no_test_notices_is_alive(tmp_path: Path) -> None:
    root = checkout(tmp_path, "sandbox", "code")
    command = [sys.executable, str(TOOL), "sandbox", "tests", "--root", str(root), "--slow", "test_slow.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    *each, total = done.stdout.splitlines()
    assert {line[5:] for line in each} == {
        "killed sandbox/code.py:7: 'return a if a > b else b' -> 'return None'",
        "killed sandbox/code.py:7: 'a > b' -> '(not (a > b))'",
        "ALIVE  sandbox/code.py:7: 'a > b' -> '(a >= b)'",
        "ALIVE  sandbox/code.py:11: 'return a + 1' -> 'return None'",
        "ALIVE  sandbox/code.py:11: 'a + 1' -> '((a) - (1))'",
        "ALIVE  sandbox/code.py:11: '1' -> '2'",
        "killed sandbox/code.py:15: 'n < 3' -> '(not (n < 3))'",
        "killed sandbox/code.py:15: 'n < 3' -> '(n <= 3)'",
        "killed sandbox/code.py:15: '3' -> '4'",
        "killed sandbox/code.py:16: '1' -> '2'",
        "killed sandbox/code.py:17: 'return n' -> 'return None'",
    }
    assert total == "7 of 11 killed, of 11 there could be"
    assert (root / "sandbox/code.py").read_text() == CODE


def test_what_two_checkouts_have_in_common_is_drawn_in_both(tmp_path: Path) -> None:
    """Moved, with something else before it."""
    one, other = checkout(tmp_path / "a", "sandbox", "code"), checkout(tmp_path / "b", "workshop", "b", MORE + CODE)
    first = in_order(list(mutants(one, Path("sandbox/code.py"))), 1)
    second = in_order(list(mutants(other, Path("workshop/b.py"))), 1)
    common = [each.words for each in first]
    assert [each.words for each in second if each.words in common] == common
    assert len(second) > len(first)
    assert [each.words for each in in_order(first, 2)] != common


def test_what_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    assert apart(lambda: subprocess.call(["sleep", "60"]), 0.3) < 0
    assert time.monotonic() - began < 30
    assert [apart(lambda: 0, 30), apart(lambda: 3, 30)] == [0, 3]
