"""How many mistakes do the tests notice? Makes one at a time in a copy of a checkout and runs tests against it.

    python tools/mutants.py workshop/traffic tests/traffic --count 60
    python tools/mutants.py sandbox/mesh/{http_routes,route_tables,rules}.py tests/sandbox/mesh --count 60

A mutant is one small change: another comparison, a sign, a number off by one, `and` for `or`, a condition turned
round, a `return` of nothing. Those of a run are the first in an order that their own words decide, not where they
are: so what two commits (`--root`, another checkout) have in common is drawn in both, wherever it has moved to.

The tests that mirror the module (`test_<module>*.py`) run first, then the others of the folder that run its line,
the quick ones first, as a run without a mistake has shown. The first test that fails, or that takes far longer than
it did, ends a mutant: killed. Those that are alive at the end are for somebody to look at: some change nothing that
can be seen.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = (
    "workshop",
    "labs",
    "sandbox",
    "config",
    "docs",
    "tools",
    "tests",
    "README.md",
    "pyproject.toml",
    "tasks.py",
)

COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
CALCULATED: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
}

PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)

PATIENCE, SLOWER = 20.0, 10.0
"""Seconds, and how many times as long as without a mistake, after which tests count as failed."""

SLOW = 30.0
"""Seconds that a file is taken to need that was not tried without a mistake."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` from `start` to `end` (offsets in bytes) of a file becomes `new`. `lines` are the first and the last,
    `said` is what the first says."""

    file: Path
    lines: tuple[int, int]
    start: int
    end: int
    old: str
    new: str
    said: str

    def __str__(self) -> str:
        return f"{self.file}:{self.lines[0]}: {self.old!r} -> {self.new!r}"

    @property
    def words(self) -> str:
        return f"{self.said} {self.old} {self.new}"


def mutants(root: Path, file: Path) -> Iterator[Mutant]:
    source = (root / file).read_bytes()
    rows = source.splitlines(keepends=True)
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row))

    def made(node: ast.expr | ast.stmt, new: str) -> Mutant:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        said = rows[node.lineno - 1].decode().strip()
        return Mutant(file, (node.lineno, node.end_lineno), start, end, source[start:end].decode(), new, said)

    tree = ast.parse(source)
    # `@dataclass(frozen=True, slots=True)`: promises that a type checker keeps.
    promised = {id(node) for decorator in decorators(tree) for node in ast.walk(decorator)}
    for node in (node for node in ast.walk(tree) if id(node) not in promised):
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in COMPARED:
                said = f"{ast.unparse(left)} {COMPARED[type(operator)]} {ast.unparse(right)}"
                yield made(node, f"({said})")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in CALCULATED:
                yield made(node, f"(({ast.unparse(left)}) {CALCULATED[type(operator)]} ({ast.unparse(right)}))")
            case ast.BoolOp(op=operator, values=values):
                word = " or " if isinstance(operator, ast.And) else " and "
                yield made(node, f"({word.join(f'({ast.unparse(value)})' for value in values)})")
            case ast.Constant(value=bool(value)):
                yield made(node, str(not value))
            case ast.Constant(value=int() | float() as value):
                yield made(node, str(value + 1))
            case ast.IfExp(test=test) | ast.If(test=test) | ast.While(test=test):
                if ast.unparse(test) != "TYPE_CHECKING":
                    yield made(test, f"(not ({ast.unparse(test)}))")
            case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
                yield made(node, "return None")


def decorators(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from node.decorator_list


def in_order(found: Sequence[Mutant], seed: int) -> list[Mutant]:
    """By a hash of the words of each; those of the same words come one after the other."""
    times: Counter[str] = Counter()
    order = {}
    for mutant in found:
        times[mutant.words] += 1
        order[mutant] = hashlib.sha256(f"{seed} {times[mutant.words]} {mutant.words}".encode()).digest()
    return sorted(found, key=order.__getitem__)


def apart(do: Callable[[], int], seconds: float) -> int:
    """The exit status of `do` in a process of its own, which has all that is imported here. After that many seconds
    it is killed, with all that it has started, and its status is less than 0."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nothing, stream)
            status = do()
        finally:
            os._exit(status)

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    clock = threading.Timer(seconds, end)
    clock.start()
    _, status = os.waitpid(child, 0)
    clock.cancel()
    clock.join()
    end()
    return os.waitstatus_to_exitcode(status)


class Tests:
    """The test files of a folder in the copy of a checkout: how long each takes, and which lines it runs."""

    def __init__(self, root: Path, folder: Path, files: Sequence[Path], slow: Sequence[str]) -> None:
        self.root = root
        self._watched = {str(root / file): str(file) for file in files}
        self._lines: dict[str, set[tuple[str, int]]] = {}
        self._seconds: dict[str, float] = {}
        for file in sorted((root / folder).glob("test_*.py")):
            name = str(file.relative_to(root))
            self._lines[name], self._seconds[name] = set(), SLOW
            if file.name not in slow:
                self._learn(name)

    def _learn(self, file: str) -> None:
        notes = self.root / "lines.json"
        began = time.monotonic()
        if apart(lambda: self._traced(file, notes), 600.0) not in PASSED:
            sys.exit(f"{file} does not pass without a mistake")
        self._seconds[file] = time.monotonic() - began
        print(f"{self._seconds[file]:6.1f} s {file}", file=sys.stderr, flush=True)
        lines, foreign = json.loads(notes.read_text())
        self._lines[file] = {(self._watched[name], line) for name, line in lines}
        for name in foreign:  # so that no process has to import them again
            with contextlib.suppress(Exception):
                importlib.import_module(name)

    def _traced(self, file: str, notes: Path) -> int:
        seen: set[tuple[str, int]] = set()
        left: dict[CodeType, set[int]] = {}

        def inside(frame: FrameType, event: str, arg: object) -> Any:
            lines = left[frame.f_code]
            if frame.f_lineno in lines:
                lines.discard(frame.f_lineno)
                seen.add((frame.f_code.co_filename, frame.f_lineno))
            return inside if lines else None

        def called(frame: FrameType, event: str, arg: object) -> Any:
            code = frame.f_code
            if code.co_filename not in self._watched:
                return None
            if code not in left:
                left[code] = {line for _, _, line in code.co_lines() if line}
            return inside(frame, event, arg)

        threading.settrace(called)
        sys.settrace(called)
        status = self._run([file])
        sys.settrace(None)
        foreign = [
            name for name, module in sys.modules.items() if "site-packages" in str(getattr(module, "__file__", ""))
        ]
        notes.write_text(json.dumps([sorted(seen), foreign]))
        return status

    def _run(self, files: Sequence[str]) -> int:
        os.chdir(self.root)
        sys.path.insert(0, str(self.root))
        return int(pytest.main(["-x", "-q", "-n", "0", *files]))

    def of(self, mutant: Mutant) -> tuple[list[str], list[str]]:
        """Those that mirror the module, and the others that run it."""
        first, last = mutant.lines
        where = {(str(mutant.file), line) for line in range(first, last + 1)}
        mirror = [file for file in self._lines if Path(file).name.startswith(f"test_{mutant.file.stem}")]
        others = [file for file, lines in self._lines.items() if lines & where and file not in mirror]
        return mirror, sorted(others, key=self._seconds.__getitem__)

    def notice(self, files: Sequence[str]) -> bool:
        """Whether one of them fails, or takes far longer than it did."""
        seconds = PATIENCE + SLOWER * sum(self._seconds[file] for file in files)
        return bool(files) and apart(lambda: self._run(files), seconds) not in PASSED


def killed(mutant: Mutant, tests: Tests) -> bool:
    file = tests.root / mutant.file
    whole, times = file.read_bytes(), file.stat()
    file.write_bytes(whole[: mutant.start] + mutant.new.encode() + whole[mutant.end :])
    try:
        return any(tests.notice(files) for files in tests.of(mutant))
    finally:
        file.write_bytes(whole)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def copied(root: Path, target: Path) -> None:
    for source in (root / name for name in COPIED):
        if source.is_dir():
            shutil.copytree(source, target / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", type=Path, nargs="+", help="modules, or folders of them")
    parser.add_argument("tests", type=Path, help="the folder of their tests")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slow", default=[], action="append", help="a test file that runs for its module only")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout, if not the one that this is in")
    asked = parser.parse_args()
    root = asked.root.resolve()
    files = [
        file.relative_to(root)
        for each in (root / code for code in asked.code)
        for file in (sorted(each.glob("*.py")) if each.is_dir() else [each])
    ]
    found = [mutant for file in files for mutant in mutants(root, file)]
    drawn = in_order(found, asked.seed)[: asked.count]
    alive = 0
    # What a mutant has compiled must not be found by the next one, of the same size and the same second.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        copied(root, Path(folder))
        tests = Tests(Path(folder).resolve(), asked.tests, files, asked.slow)
        for number, mutant in enumerate(drawn, 1):
            dead = killed(mutant, tests)
            alive += not dead
            print(f"{number:4} {'killed' if dead else 'ALIVE '} {mutant}", flush=True)
    print(f"{len(drawn) - alive} of {len(drawn)} killed, of {len(found)} there could be")


if __name__ == "__main__":
    main()
