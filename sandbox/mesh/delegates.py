"""VirtualServices that hand on to others: a root's rule with a `delegate` becomes the rules of the VirtualService
that it names, each within the root's match.

A delegate has no hosts and does nothing by itself. One level only. As with Istio its rule counts where each
of its matches lies within one of the root's; what cannot be told to do so (a regular expression beside anything) is
a conflict, and that rule alone has no effect. What a delegate does not say of a request's handling, its root does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.core.cluster import Object
from sandbox.core.istio_exports import exported_to
from sandbox.mesh import rules

Part = Mapping[str, Any]

_INHERITED = (
    *("rewrite", "directResponse", "timeout", "retries", "fault", "mirror", "mirrorPercent", "mirrorPercentage"),
    *("corsPolicy", "mirrors", "headers"),
)
"""Of a root's rule, where the delegate's has none of its own."""
_STRINGS = ("uri", "scheme", "method", "authority")
_MAPS = ("headers", "withoutHeaders", "queryParams")


def resolved(virtual_services: tuple[Object, ...]) -> tuple[Object, ...]:
    """All that speak for some host, with the rules of those they hand on to; the same tuple where none does."""
    delegates = {_place(rule): rule for rule in virtual_services if not rule["spec"].get("hosts")}
    hand_on = [rule for rule in virtual_services if _hands_on(rule)]
    if not delegates and not hand_on:
        return virtual_services
    return tuple(
        _with_delegates(rule, delegates) if _hands_on(rule) else rule
        for rule in virtual_services
        if rule["spec"].get("hosts")
    )


def _place(rule: Object) -> tuple[str, str]:
    return rule["metadata"]["namespace"], rule["metadata"]["name"]


def _hands_on(rule: Object) -> bool:
    return any("delegate" in http for http in rule["spec"].get("http") or ())


def _with_delegates(root: Object, delegates: Mapping[tuple[str, str], Object]) -> Object:
    return {**root, "spec": {**root["spec"], "http": list(_rules_of(root, delegates))}}


def _rules_of(root: Object, delegates: Mapping[tuple[str, str], Object]) -> Iterator[Part]:
    own = root["metadata"]["namespace"]
    for http in root["spec"]["http"]:
        if "delegate" not in http:
            yield http
            continue
        named = http["delegate"] or {}
        leaf = delegates.get((named.get("namespace") or own, named.get("name", "")))
        if leaf is not None and exported_to(leaf, own):
            before = _in_full(http, own)
            for each in leaf["spec"].get("http") or ():
                if (merged := _merged(before, _in_full(each, leaf["metadata"]["namespace"]))) is not None:
                    yield merged


def _in_full(http: Part, namespace: str) -> dict[str, Any]:
    """A rule whose names mean the same in every namespace: short ones are of its own."""
    made = {key: value for key, value in http.items() if key != "delegate"}
    if "match" in http:
        made["match"] = [_match_in_full(match, namespace) for match in http["match"]]
    for field in ("route", "mirrors"):
        if field in http:
            made[field] = [
                {**one, "destination": _destination_in_full(one["destination"], namespace)} for one in http[field]
            ]
    if "mirror" in http:
        made["mirror"] = _destination_in_full(http["mirror"], namespace)
    return made


def _match_in_full(match: Part, namespace: str) -> Part:
    if not match.get("gateways"):
        return match
    return {**match, "gateways": [rules.gateway_key(name, namespace) for name in match["gateways"]]}


def _destination_in_full(destination: Part, namespace: str) -> Part:
    return {**destination, "host": rules.full_host(destination["host"], namespace)}


def _merged(root: Part, leaf: Part) -> Part | None:
    """The delegate's rule within the root's; None where they are in conflict."""
    matches = _matches(root.get("match") or [], leaf.get("match") or [])
    if matches is None:
        return None
    made = {**{field: root[field] for field in _INHERITED if field in root}, **leaf}
    if matches:
        made["match"] = matches
    if name := "-".join(filter(None, (root.get("name"), leaf.get("name")))):
        made["name"] = name
    return made


def _matches(root: list[Part], leaf: list[Part]) -> list[Part] | None:
    if not root or not leaf:
        return leaf or root
    found: list[Part] = []
    for narrow in leaf:
        within = [_both(wide, narrow) for wide in root if not _conflict(wide, narrow)]
        if not within:
            return None
        found += within
    return found


def _both(wide: Part, narrow: Part) -> Part:
    made: dict[str, Any] = {**wide, **{key: value for key, value in narrow.items() if value}}
    for field in (*_MAPS, "sourceLabels"):
        if both := {**(wide.get(field) or {}), **(narrow.get(field) or {})}:
            made[field] = both
    if name := "-".join(filter(None, (wide.get("name"), narrow.get("name")))):
        made["name"] = name
    return made


def _conflict(wide: Part, narrow: Part) -> bool:
    """Whether the second may be about requests that the first is not about."""
    if any(_outside(wide.get(field), narrow.get(field)) for field in _STRINGS):
        return True
    for field in _MAPS:
        asked = wide.get(field) or {}
        if any(_outside(asked.get(key), value) for key, value in (narrow.get(field) or {}).items()):
            return True
    if bool(wide.get("ignoreUriCase")) != bool(narrow.get("ignoreUriCase")):
        return True
    if wide.get("port") and narrow.get("port") and wide["port"] != narrow["port"]:
        return True
    if wide.get("sourceNamespace") and wide["sourceNamespace"] != narrow.get("sourceNamespace"):
        return True
    labels = wide.get("sourceLabels") or {}
    if any(labels.get(key, value) != value for key, value in (narrow.get("sourceLabels") or {}).items()):
        return True
    gateways = set(wide.get("gateways") or ())
    return bool(gateways) and not gateways.issuperset(narrow.get("gateways") or ())


def _outside(wide: Part | None, narrow: Part | None) -> bool:
    """Whether a text that `narrow` takes may be none that `wide` takes, as far as Istio looks."""
    if wide is None or narrow is None:
        return False
    if "regex" in wide or "regex" in narrow:
        return True
    inside = narrow.get("exact") or narrow.get("prefix") or ""
    if wide.get("exact"):
        return bool(narrow.get("prefix")) or inside != wide["exact"]
    return not (wide.get("prefix") and inside.startswith(wide["prefix"]))
