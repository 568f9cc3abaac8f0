"""`relabel_configs`: rules that say, by the labels of what was discovered, what is asked and how it is labelled
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config).

Here are the actions that the add-on of Istio's releases has: `replace`, `keep`, `drop` and `labelmap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.prometheus.labels import BadRegex, Regex, expanded

ACTIONS = ("replace", "keep", "drop", "labelmap")
_TIMES = ("__scrape_interval__", "__scrape_timeout__")
_FIELDS = ("action", "source_labels", "separator", "regex", "target_label", "replacement")


@dataclass(frozen=True, slots=True)
class Rule:
    action: str
    source_labels: tuple[str, ...]
    separator: str
    regex: Regex
    target_label: str
    replacement: str


def read_rule(written: Any) -> Rule:
    """Of a mapping whose scalars are texts. Raises ValueError with the name of what is not here, or in Prometheus'
    words."""
    if not isinstance(written, dict):
        raise ValueError("it is no rule")
    for field in written:
        if field not in _FIELDS:
            raise ValueError(f"{field}: not supported by the sandbox's Prometheus")
    action, target = written.get("action", "replace").lower(), written.get("target_label", "")
    sources = written.get("source_labels") or ()
    if action not in ACTIONS:
        known = ", ".join(ACTIONS)
        raise ValueError(f"the action {action}: not supported by the sandbox's Prometheus, which has {known}")
    if action == "replace" and not target:
        raise ValueError("relabel configuration for replace action requires 'target_label' value")
    if target in _TIMES:
        raise ValueError(f"target_label {target}: not supported by the sandbox's Prometheus")
    if isinstance(sources, str):
        raise ValueError("source_labels is no list of names")
    try:
        regex = Regex(written.get("regex", "(.*)"))
    except BadRegex as error:
        raise ValueError(str(error)) from None
    return Rule(
        action, tuple(sources), written.get("separator", ";"), regex, target, written.get("replacement", "$1")
    )


def relabelled(labels: Mapping[str, str], rules: Iterable[Rule]) -> dict[str, str] | None:
    """None for what is dropped. A label without a value is none."""
    found = dict(labels)
    for rule in rules:
        if rule.action == "labelmap":
            caught = [(rule.regex.groups(name), value) for name, value in found.items()]
            found |= {expanded(rule.replacement, groups): value for groups, value in caught if groups is not None}
            continue
        groups = rule.regex.groups(rule.separator.join(found.get(name, "") for name in rule.source_labels))
        if rule.action == "replace":
            if groups is not None:
                found[expanded(rule.target_label, groups)] = expanded(rule.replacement, groups)
        elif (groups is not None) != (rule.action == "keep"):
            return None
    return {name: value for name, value in found.items() if value}
