"""What of a package no command of a list ever enters.

    python tools/never_run.py sandbox -- invoke lab -- invoke lab.istio.cleanup --yes -- invoke sandbox.down

Everything in the sandbox earns its place by a lab that runs it, or by a promise of its README that a case shows.
The commands after each `--` run one after the other, in a state folder of their own; every Python they start, the
sandbox's own process among them, writes down which functions it enters. Printed is each function that none has
entered, with its lines, and a total for each file. A command that fails ends it with 1.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

RECORDER = """
import contextlib, os, sys, threading

_root, _file, _seen = os.environ["NEVER_RUN_ROOT"], os.environ["NEVER_RUN_SEEN"], set()

def _entered(frame, event, _):
    code = frame.f_code
    if event == "call" and code not in _seen:
        _seen.add(code)
        if code.co_filename.startswith(_root):
            # At once: a process may be killed. Or outlive the file: a sandbox does, when a command fails.
            with contextlib.suppress(OSError), open(_file, "a") as out:
                out.write(f"{code.co_filename}\\t{code.co_firstlineno}\\n")

sys.setprofile(_entered)
threading.setprofile(_entered)
"""
"""Python imports a module `sitecustomize` before anything else."""


def functions(file: Path) -> Iterator[tuple[str, int, int]]:
    """Name, first line (of its decorators, if any) and number of lines of each function."""

    def walk(node: ast.AST, within: str) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                yield f"{within}{child.name}", first, (child.end_lineno or first) - first + 1
                yield from walk(child, f"{within}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                protocol = any("Protocol" in ast.dump(base) for base in child.bases)
                if not protocol:
                    yield from walk(child, f"{within}{child.name}.")
            else:
                yield from walk(child, within)

    return walk(ast.parse(file.read_text(encoding="utf-8")), "")


def commands(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in [*words, "--"]:
        if word != "--":
            command.append(word)
        elif command:
            yield command
            command = []


def entered(package: Path, words: list[str]) -> set[tuple[str, int]]:
    """File and first line of every function that was entered. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
        seen = folder / "seen"
        seen.touch()
        environment = {
            "INVOKE_STATE": str(folder / "state"),
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", "")))),
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
            "NEVER_RUN_ROOT": f"{package}{os.sep}",
            "NEVER_RUN_SEEN": str(seen),
        }
        for command in commands(words):
            subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=sys.stderr)
        return {(file, int(line)) for file, line in (each.split("\t") for each in seen.read_text().splitlines())}


def main(package: Path, words: list[str]) -> int:
    try:
        seen = entered(package, words)
    except subprocess.CalledProcessError as error:
        print(error, file=sys.stderr)
        return 1
    total = never = lines = 0
    for file in sorted(package.rglob("*.py")):
        found = list(functions(file))
        unused = [each for each in found if (str(file), each[1]) not in seen]
        total, never, lines = total + len(found), never + len(unused), lines + sum(each[2] for each in unused)
        if unused:
            print(
                f"{file.relative_to(ROOT)}  {len(unused)} of {len(found)}, {sum(each[2] for each in unused)} lines"
            )
            for function, first, length in unused:
                print(f"    {first:4} {function}  {length}")
    print(f"{never} of {total} functions are never entered, {lines} lines")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit(__doc__)
    sys.exit(main(ROOT / sys.argv[1], sys.argv[3:]))
