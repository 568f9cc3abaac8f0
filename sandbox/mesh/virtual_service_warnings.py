"""What istiod warns of when a VirtualService is applied: rules and matches that no request gets to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Part = Mapping[str, Any]


def find_warnings(spec: Part) -> Iterator[str]:
    """Of a VirtualService that nothing is wrong with."""
    takes_all = False
    seen: dict[str, str] = {}
    """The rule that has a match first, by what the match means."""
    for number, route in enumerate(spec.get("http") or []):
        rule, matches = _name(route, number), route.get("match") or []
        if takes_all:
            reason = "route without matches defined before" if matches else "only the last rule can have no matches"
            yield _unused(rule, reason)
        elif not matches:
            takes_all = True
        else:
            meanings = [_meaning(match) for match in matches]
            repeated = [index for index, meaning in enumerate(meanings) if meaning in {*seen, *meanings[:index]}]
            seen = {**dict.fromkeys(meanings, rule), **seen}
            for index in repeated:
                match, first = _name(matches[index], index), seen[meanings[index]]
                yield (
                    f"virtualService rule {rule} match {match} is not used "
                    f"(duplicate/overlapping match in rule {first})"
                )
            if len(repeated) == len(matches):
                yield _unused(rule, "all matches used by prior rules")


def _unused(rule: str, reason: str) -> str:
    return f"virtualService rule {rule} not used ({reason})"


def _name(part: Part, number: int) -> str:
    return f'"{part["name"]}"' if part.get("name") else f"#{number}"


def _meaning(match: Part) -> str:
    return json.dumps({key: value for key, value in match.items() if key != "name"}, sort_keys=True)
