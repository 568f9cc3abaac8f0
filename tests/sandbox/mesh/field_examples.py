"""For each field of Istio's rules: a rule in which it means something, and a value that does: cases/fields.yaml."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kit.cases import content_of

Spec = dict[str, Any]

_FIELDS = content_of(Path(__file__).parent / "cases/fields.yaml")
BASE: dict[str, Spec] = _FIELDS["base"]
BESIDE: dict[str, dict[str, Spec]] = _FIELDS["beside"]

_LEVEL = re.compile(r"((?:subsets\.)?trafficPolicy(?:\.portLevelSettings)?)\.((?!portLevelSettings).+)")


def base(kind: str, path: str) -> Spec:
    """A rule without the field, in which it would mean something."""
    if level := _LEVEL.fullmatch(path):
        return _with_policy(level[1], level[2])
    return copy.deepcopy(_longest(_FIELDS["around"].get(kind, {}), path) or BASE[kind])


def example(kind: str, path: str, otherwise: Any) -> Any:
    level = _LEVEL.fullmatch(path)
    examples, name = (_FIELDS["policy_examples"], level[2]) if level else (_FIELDS["examples"].get(kind, {}), path)
    return copy.deepcopy(examples.get(name, otherwise))


def changes_nothing(kind: str, path: str) -> bool:
    level = _LEVEL.fullmatch(path)
    return (
        level[2] in _FIELDS["policy_changes_nothing"] if level else path in _FIELDS["changes_nothing"].get(kind, {})
    )


def _with_policy(level: str, field: str) -> Spec:
    rule = copy.deepcopy(BASE["DestinationRule"])
    if field.endswith("maxConcurrentStreams"):
        rule["host"] = "three"
    policy = copy.deepcopy(_longest(_FIELDS["around_policy"], field) or {})
    if level.endswith("portLevelSettings"):
        policy = {"portLevelSettings": [{"port": {"number": 80}, **policy}]}
    if policy:
        (rule["subsets"][0] if level.startswith("subsets") else rule)["trafficPolicy"] = policy
    return rule


def _longest(around: Mapping[str, Spec], path: str) -> Spec | None:
    """For the path itself, or else what is nearest above it."""
    parts = path.split(".")
    paths = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((around[above] for above in paths if above in around), None)
