"""The text format in which metrics are told (version 0.0.4), read and written.

A target tells the same series again and again, so a sample is read in two parts: where its name and labels end,
and its value. What the first part means is only asked where it was not seen before (`scraping`). That makes 20,000
lines 28 ms of a processor (260 when all are new), where prometheus_client's parser takes 700.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.prometheus.labels import NAME, Labels, quoted
from sandbox.prometheus.numbers import number, text

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(,|(?=\}))', re.ASCII)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"\\": "\\", '"': '"', "n": "\n"}
_TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


class BadExposition(ValueError):
    """What a target told is not the text format."""


@dataclass(slots=True)
class Metadata:
    """What a target says of one metric."""

    type: str = "unknown"
    help: str = ""


Told = tuple[str, float, int | None]
"""Name and labels as they were written, the value, and the time in milliseconds, which few say."""


def samples(page: str, metadata: dict[str, Metadata]) -> Iterator[Told]:
    """All samples in their order; what is told of metrics goes into `metadata`. Raises BadExposition."""
    if page and not page.endswith("\n"):
        raise BadExposition("the last line does not end")
    for line in page.split("\n"):
        end = line.rfind("}") + 1
        if line.startswith("#"):
            _describe(line, metadata)
            continue
        if end:
            named, words = line[:end], line[end:].split()
        else:
            named, *words = line.split() or [""]
            if not named:
                continue
        try:
            if len(words) == 1:
                yield named, number(words[0]), None
            else:
                value, time = words
                yield named, number(value), int(time)
        except ValueError:
            raise BadExposition(f"no sample: {line[:200]}") from None


def _describe(line: str, metadata: dict[str, Metadata]) -> None:
    words = line.split(maxsplit=3)
    if len(words) < 3 or words[0] != "#":
        return
    if words[1] == "HELP":
        said = words[3] if len(words) > 3 else ""
        metadata.setdefault(words[2], Metadata()).help = _ESCAPE.sub(_unescaped, said)
    elif words[1] == "TYPE":
        kind = words[3].strip() if len(words) > 3 else ""
        if kind not in _TYPES:
            raise BadExposition(f'invalid metric type "{kind}"')
        metadata.setdefault(words[2], Metadata()).type = "unknown" if kind == "untyped" else kind


def labels(named: str) -> Labels:
    """What a sample's first part says. Raises BadExposition."""
    named = named.strip()
    name = _METRIC.match(named)
    if name is None:
        raise BadExposition(f"no name of a metric: {named[:200]}")
    found = {NAME: name[0]}
    rest = named[name.end() :].lstrip()
    if not rest:
        return Labels(found)
    place = 1
    while rest[:1] == "{" and rest[place:].strip() != "}":
        label = _LABEL.match(rest, place)
        if label is None or label[1] in found:
            raise BadExposition(f"no labels: {named[:200]}")
        found[label[1]] = _ESCAPE.sub(_unescaped, label[2])
        place = label.end()
    if rest[:1] != "{":
        raise BadExposition(f"no labels: {named[:200]}")
    return Labels(found)


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[0])


def sample(of: Labels, value: float, time: int | None = None) -> str:
    """A line for it."""
    rest = ",".join(f"{name}={quoted(of_it)}" for name, of_it in of.ordered() if name != NAME)
    return f"{of[NAME]}{f'{{{rest}}}' if rest else ''} {text(value)}{'' if time is None else f' {time}'}\n"


def described(name: str, kind: str, said: str) -> str:
    """The lines above a metric's samples."""
    escaped = said.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n"
