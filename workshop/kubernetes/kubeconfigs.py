"""What kubeconfigs say, which anybody may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_DEEPEST = 50
"""Levels; a kubeconfig has six. Deeper ones are followed until the process ends in a segmentation fault."""


def content_of(kubeconfig: Path) -> Any:
    """Raises OSError, and ValueError for what is no YAML."""
    import yaml

    text = kubeconfig.read_text(encoding="utf-8")
    try:
        depth = 0
        for event in yaml.parse(text, yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError(kubeconfig)
        return yaml.load(text, yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(kubeconfig) from error


def contexts_in(kubeconfig: Path) -> list[str]:
    """The contexts that it names; none when it is not there or not readable."""
    try:
        return [str(context["name"]) for context in content_of(kubeconfig)["contexts"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []
