"""Ask the real Prometheus the queries of `cases/promql.yaml`, and write its answers there.

    go mod init answers && go get github.com/prometheus/prometheus@v0.316.0 && go build -o answers .
    python -m tests.sandbox.prometheus.real.take PATH/TO/answers

The first line in a copy of this folder outside of the repository. Answers are never written by hand.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.sandbox.prometheus.samples import labels, samples

FILE = Path(__file__).parent.parent / "cases" / "promql.yaml"


def main(program: str) -> None:
    written, said = FILE.read_text(encoding="utf-8"), table()
    asked = [case for cases in said["queries"].values() for case in cases]
    found = iter(answers(program, said["series"], asked))
    head, _, _ = written.partition("\nqueries:\n")
    lines = [head, "queries:"]
    for group, cases in said["queries"].items():
        lines.append(f"  {group}:")
        for case in cases:
            lines += [f"  {line}" for line in _written(case, next(found))]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def table() -> Any:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def answers(program: str, series: dict[str, str], asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the real one."""
    given = {
        "series": [
            {
                "labels": labels(name).mapping,
                "samples": [[str(time), _given(value)] for time, value in samples(notation)],
            }
            for name, notation in series.items()
        ],
        "queries": [{"query": case["query"], **_when(case)} for case in asked],
    }
    ran = subprocess.run([program], input=json.dumps(given), capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def _given(value: float | None) -> str:
    return "stale" if value is None else repr(value)


def _when(case: dict[str, Any]) -> dict[str, float]:
    if "at" in case:
        return {"time": case["at"]}
    return dict(zip(("start", "end", "step"), case["range"], strict=True))


def _written(case: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    query = case["query"]
    lines = [f"- query: {_quoted(query)}"]
    lines.append(f"  at: {case['at']}" if "at" in case else f"  range: {case['range']}")
    if "error" in answer:
        return [*lines, f"  error: {answer['errorType']}", f"  says: {_quoted(answer['error'])}"]
    kind, result = answer["resultType"], answer["result"]
    lines.append(f"  kind: {kind}")
    match kind:
        case "scalar":
            rows = [_number(result[0][1])]
        case "string":
            rows = [result[0][1]]
        case "vector":
            rows = [f"{_name(row['metric'])} {_number(row['value'][1])}" for row in result]
        case _:
            rows = [f"{_name(row['metric'])} {_values(case, row['values'])}" for row in result]
    if not query.startswith(("sort", "topk", "bottomk")):
        rows.sort()
    return [*lines, "  answer:", *(f"  - {_quoted(row)}" for row in rows)] if rows else [*lines, "  answer: []"]


def _values(case: dict[str, Any], values: list[tuple[float, str]]) -> str:
    if "at" in case:
        return " ".join(f"{time:.10g}:{_number(value)}" for time, value in values)
    start, end, step = (round(seconds * 1000) for seconds in case["range"])
    found = {round(time * 1000): _number(value) for time, value in values}
    return " ".join(found.get(time, "_") for time in range(start, end + 1, step))


def _name(metric: dict[str, str]) -> str:
    name = metric.pop("__name__", "")
    rest = ", ".join(f"{label}={json.dumps(value)}" for label, value in sorted(metric.items()))
    return name + (f"{{{rest}}}" if rest or not name else "")


def _number(value: str) -> str:
    number = float(value)
    if not math.isfinite(number):
        return value.removeprefix("+")
    return repr(number).removesuffix(".0")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    main(*sys.argv[1:])
