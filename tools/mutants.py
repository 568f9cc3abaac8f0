"""How many mistakes do the tests notice? Makes one at a time in a copy of the repository and runs tests against it.

    python tools/mutants.py workshop/traffic tests/traffic --count 60 --seed 1

A mutant is one small change: another comparison, a sign, a number off by one, `and` for `or`, a condition turned
round, a `return` of nothing. Those of a run are drawn from all there could be, the same ones for the same seed. The
tests that mirror the module (`test_<module>*.py`) run first, and the first that fails ends a mutant: killed. Those
that are alive at the end are for somebody to look at: some change nothing that can be seen.
"""

from __future__ import annotations

import argparse
import ast
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Mutant:
    """`old` from `start` to `end` (offsets in bytes) of a file becomes `new`."""

    file: Path
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.old!r} -> {self.new!r}"

    def write(self, root: Path) -> None:
        text = (ROOT / self.file).read_bytes()
        (root / self.file).write_bytes(text[: self.start] + self.new.encode() + text[self.end :])


def mutants(file: Path) -> Iterator[Mutant]:
    text = (ROOT / file).read_text()
    starts, source = [0], text.encode()
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def made(node: ast.expr | ast.stmt, new: str) -> Mutant:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        return Mutant(file, node.lineno, start, end, source[start:end].decode(), new)

    for node in ast.walk(ast.parse(text)):
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
                yield made(test, f"(not ({ast.unparse(test)}))")
            case ast.Return(value=value) if value is not None:
                yield made(node, "return None")


def fails(root: Path, files: list[str], seconds: float) -> bool:
    """Whether some test does. To go on for `seconds` is to fail."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", *files]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def tests_of(module: str, tests: Path, *, only: bool) -> list[str]:
    """The test files, those that mirror the module first, or `only` these where there are any."""
    own = sorted((ROOT / tests).glob(f"test_{module}*.py"))
    others = [file for file in sorted((ROOT / tests).glob("test_*.py")) if file not in own]
    return [str(file.relative_to(ROOT)) for file in (own if own and only else (*own, *others))]


def killed(mutant: Mutant, root: Path, tests: list[str], seconds: float) -> bool:
    mutant.write(root)
    try:
        return fails(root, tests, seconds)
    finally:
        shutil.copyfile(ROOT / mutant.file, root / mutant.file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", type=Path, help="a module, or a folder of them")
    parser.add_argument("tests", type=Path, help="the folder of its tests")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--own", action="store_true", help="run only the tests that mirror a mutant's module")
    parser.add_argument("--seconds", type=float, default=180.0, help="after which a mutant counts as killed")
    asked = parser.parse_args()
    files = (
        [asked.code]
        if asked.code.suffix
        else sorted(file.relative_to(ROOT) for file in (ROOT / asked.code).glob("*.py"))
    )
    found = [mutant for file in files for mutant in mutants(file)]
    drawn = random.Random(asked.seed).sample(found, min(asked.count, len(found)))  # noqa: S311
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, target)
        if fails(Path(folder), tests_of("", asked.tests, only=False), 2 * asked.seconds):
            sys.exit(f"{asked.tests} does not pass without a mistake")
        for number, mutant in enumerate(drawn, 1):
            tests = tests_of(mutant.file.stem, asked.tests, only=asked.own)
            dead = killed(mutant, Path(folder), tests, asked.seconds)
            print(f"{number:4} {'killed' if dead else 'ALIVE '} {mutant}", flush=True)
            if not dead:
                alive.append(mutant)
    print(f"{len(drawn) - len(alive)} of {len(drawn)} killed, of {len(found)} there could be")


if __name__ == "__main__":
    main()
