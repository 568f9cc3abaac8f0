"""Rules of a VirtualService that no request comes to (IST0130), matches that never decide anything (IST0131).

Istio's own reckoning (pkg/config/validation, analyzeUnreachableHTTPRules), and as cautious: it compares what is
written, and of different matches only prefixes of paths. istiod warns of what it finds when a rule is applied,
`istioctl analyze` says it of what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Part = Mapping[str, Any]
Finding = tuple[Literal["IST0130", "IST0131"], str]


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


def find_unreachable(spec: Part) -> Iterator[Finding]:
    """Of a VirtualService's spec: the message's number, and what is said of which rule."""
    for kind in ("http", "tcp", "tls"):
        yield from _find(spec.get(kind) or [])


def _find(routes: list[Part]) -> Iterator[Finding]:
    seen: list[tuple[Part, str]] = []
    prefixes: list[_Prefix] = []
    takes_all = False
    for number, route in enumerate(routes):
        name, matches = _name(route, number), route.get("match") or []
        if takes_all:
            why = "route without matches defined before" if matches else "only the last rule can have no matches"
            yield _unused(name, why)
        if takes_all or not matches:
            takes_all = True
            continue
        repeated = 0
        for at, match in enumerate(matches):
            bare = {key: value for key, value in match.items() if key != "name"}
            before = next((earlier for known, earlier in seen if known == bare), None)
            if before is not None:
                yield _ineffective(name, _name(match, at), before)
                repeated += 1
                continue
            seen.append((bare, name))
            if path := (match.get("uri") or {}).get("prefix"):
                prefixes.append(_Prefix(name, _name(match, at), path, _conditions(match)))
        if repeated == len(matches):
            yield _unused(name, "all matches used by prior rules")
    for index, first in enumerate(prefixes):
        for later in prefixes[index + 1 :]:
            if first.covers(later):
                own, theirs = (f"{one.match} of prefix {one.path}" for one in (later, first))
                yield _ineffective(later.route, own, f"{theirs} on {first.route}")


def _conditions(match: Part) -> dict[tuple[str, ...], str]:
    """What a match asks beside its path. One without a method counts as one for GET, as in the real one."""
    asked = {
        ("port", str(match.get("port", 0))): "",
        ("method",): _text(match.get("method")) or "exact:GET",
        ("authority",): _text(match.get("authority")),
    }
    for field in ("headers", "queryParams", "withoutHeaders"):
        asked |= {(field, name): _text(pattern) for name, pattern in (match.get(field) or {}).items()}
    return asked


def _text(pattern: Part | None) -> str:
    kinds = ((kind, (pattern or {}).get(kind)) for kind in ("exact", "prefix"))
    return next((f"{kind}:{value}" for kind, value in kinds if value), "")


def _name(part: Part, number: int) -> str:
    return f'"{part["name"]}"' if part.get("name") else f"#{number}"


def _unused(name: str, why: str) -> Finding:
    return "IST0130", f"rule {name} not used ({why})"


def _ineffective(name: str, match: str, other: str) -> Finding:
    return "IST0131", f"rule {name} match {match} is not used (duplicate/overlapping match in rule {other})"
