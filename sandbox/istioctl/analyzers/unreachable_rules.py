"""Rules of a VirtualService that no request comes to (IST0130), matches that never decide anything (IST0131).

Istio's own reckoning (pkg/config/validation, analyzeUnreachableHTTPRules), and as cautious: it compares what is
written, and of different matches only prefixes of paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.istioctl.analyzers.messages import Level, Message
from sandbox.istioctl.resources import Object, Resources

Match = dict[str, Any]


def unreachable(resources: Resources) -> Iterator[Message]:
    for rule in resources.of("VirtualService"):
        yield from _of_one(rule, rule["spec"].get("http") or [])


@dataclass(frozen=True, slots=True)
class _Prefix:
    route: str
    match: str
    path: str
    conditions: dict[tuple[str, ...], str]

    def covers(self, other: _Prefix) -> bool:
        """Whether each request for `other` has been taken by this one before."""
        return (
            other.path != self.path
            and other.path.startswith(self.path)
            and other.conditions.keys() == self.conditions.keys()
            and all(said.startswith(other.conditions[what]) for what, said in self.conditions.items())
        )


def _of_one(rule: Object, routes: list[Object]) -> Iterator[Message]:
    seen: list[tuple[Match, str]] = []
    prefixes: list[_Prefix] = []
    takes_all = False
    for number, route in enumerate(routes):
        name, matches = _called(route, number), route.get("match") or []
        if takes_all:
            why = "route without matches defined before" if matches else "only the last rule can have no matches"
            yield _unused(rule, name, why)
        if takes_all or not matches:
            takes_all = True
            continue
        repeated = 0
        for at, match in enumerate(matches):
            bare = {key: value for key, value in match.items() if key != "name"}
            before = next((earlier for known, earlier in seen if known == bare), None)
            if before is not None:
                yield _ineffective(rule, name, _called(match, at), before)
                repeated += 1
                continue
            seen.append((bare, name))
            if path := (match.get("uri") or {}).get("prefix"):
                prefixes.append(_Prefix(name, _called(match, at), path, _conditions(match)))
        if repeated == len(matches):
            yield _unused(rule, name, "all matches used by prior rules")
    for index, first in enumerate(prefixes):
        for later in prefixes[index + 1 :]:
            if first.covers(later):
                own, theirs = (f"{one.match} of prefix {one.path}" for one in (later, first))
                yield _ineffective(rule, later.route, own, f"{theirs} on {first.route}")


def _conditions(match: Match) -> dict[tuple[str, ...], str]:
    """What a match asks beside its path. One without a method counts as one for GET, as in the real one."""
    asked = {
        ("port", str(match.get("port", 0))): "",
        ("method",): _text(match.get("method")) or "exact:GET",
        ("authority",): _text(match.get("authority")),
    }
    for field in ("headers", "queryParams", "withoutHeaders"):
        asked |= {(field, name): _text(pattern) for name, pattern in (match.get(field) or {}).items()}
    return asked


def _text(pattern: Match | None) -> str:
    kinds = ((kind, (pattern or {}).get(kind)) for kind in ("exact", "prefix"))
    return next((f"{kind}:{value}" for kind, value in kinds if value), "")


def _called(part: Object, number: int) -> str:
    return f'"{part["name"]}"' if part.get("name") else f"#{number}"


def _unused(rule: Object, name: str, why: str) -> Message:
    return Message("IST0130", Level.Warning, rule, f"VirtualService rule {name} not used ({why}).")


def _ineffective(rule: Object, name: str, match: str, other: str) -> Message:
    text = f"VirtualService rule {name} match {match} is not used (duplicate/overlapping match in rule {other})."
    return Message("IST0131", Level.Info, rule, text)
