"""An answer to a request, and whether it is the one that a step expects."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float


def answer_of(text: str, seconds: float) -> Answer:
    """From what `curl -i` printed."""
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines() or [""]
    words = first.split()
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.lower()
        headers[name] = f"{headers[name]},{value.strip()}" if name in headers else value.strip()
    return Answer(int(words[1]) if len(words) > 1 else 0, headers, body, seconds)


def difference_of(expected: Mapping[str, Any], answers: Sequence[Answer], arrived: Mapping[str, int]) -> str:
    """How the answers differ from what a step says, in words."""
    if len(answers) != expected.get("times", 1):
        return f"{len(answers)} answers"
    if "split" in expected:
        return split_difference(expected["split"], answers)
    if "steady" in expected and (len({version_of(each) for each in answers}) == 1) != expected["steady"]:
        return f"answered: {dict(Counter(map(version_of, answers)))}"
    for answer in answers:
        seen = echoed(answer.body)
        got: dict[str, Any] = {
            "status": answer.status,
            "answer": {name: answer.headers.get(name.lower()) for name in expected.get("answer", {})},
            "body": answer.body.strip(),
            "by": version_of(answer),
            "path": seen.get("path"),
            "seen": {name: seen.get("headers", {}).get(name.lower()) for name in expected.get("seen", {})},
        }
        wanted = {"status": 200, **{key: value for key, value in expected.items() if key in got}}
        if different := {key: got[key] for key, value in wanted.items() if got[key] != value}:
            return f"{different} of {answer}"
        if "takes" in expected:
            least, most = expected["takes"]
            if not least <= answer.seconds <= most:
                return f"took {answer.seconds} s"
    counted = expected.get("arrived", {})
    return f"arrived: {dict(arrived)}" if any(arrived[key] != value for key, value in counted.items()) else ""


def split_difference(shares: Mapping[str, int], answers: Sequence[Answer]) -> str:
    """Whether versions answered in these shares (in percent), within what chance does once in 15,000 times."""
    counts = Counter(version_of(answer) for answer in answers)
    total = len(answers)
    for version in {*shares, *counts}:
        share = shares.get(version or "", 0) / 100
        if abs(counts[version] - share * total) > 4 * sqrt(share * (1 - share) * total):
            return f"answered: {dict(counts)}"
    return ""


def version_of(answer: Answer) -> str | None:
    """Which echo answered /hostname."""
    found = re.search(r'"hostname": "echo-(v\d)-', answer.body)
    return found[1] if found else None


def echoed(body: str) -> dict[str, Any]:
    """What an echo saw of a request: path with query, and headers in small letters."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(value, dict) or "headers" not in value:
        return {}
    headers = {name.lower(): ",".join(values) for name, values in value["headers"].items()}
    return {"path": re.sub(r"^\w+://[^/]*", "", value.get("url", "")), "headers": headers}
