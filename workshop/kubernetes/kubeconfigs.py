"""What kubeconfigs say, which anybody may have written, and where their contexts lead."""

from __future__ import annotations

import os
from collections.abc import Mapping
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


def why_none(kubeconfig: Path) -> str:
    """Why a file is no kubeconfig; empty when it is one."""
    try:
        content = content_of(kubeconfig)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    except ValueError:
        return "it is no YAML"
    named = content.get("contexts") if isinstance(content, dict) else None
    if not isinstance(named, list) or not all(isinstance(one, dict) and "name" in one for one in named):
        return "it is no kubeconfig: it has no list of contexts with names"
    return ""


def contexts_in(kubeconfig: Path) -> list[str]:
    """The contexts that it names; none when it is not there or not readable."""
    try:
        return [str(context["name"]) for context in content_of(kubeconfig)["contexts"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def current_context(kubeconfig: Path) -> str:
    """Empty when it names none, is not there or not readable."""
    try:
        return str(content_of(kubeconfig).get("current-context") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def server_of(kubeconfig: Path, context: str) -> str:
    """The URL of its API server. Raises OSError, or ValueError for a context that is not there or leads nowhere."""
    try:
        content = content_of(kubeconfig)
        (found,) = (item["context"] for item in content["contexts"] if item["name"] == context)
        (cluster,) = (item["cluster"] for item in content["clusters"] if item["name"] == found["cluster"])
        return str(cluster["server"])
    except (TypeError, KeyError) as error:
        raise ValueError(context) from error


def servers_in(kubeconfig: Path) -> dict[str, str]:
    """Each context's API server, an empty text for one that leads nowhere; none at all when the file is not there
    or not readable."""
    try:
        content = content_of(kubeconfig)
        clusters = {str(item["name"]): str(item["cluster"]["server"]) for item in content["clusters"]}
        return {
            str(item["name"]): clusters.get(str(item["context"]["cluster"]), "") for item in content["contexts"]
        }
    except (OSError, ValueError, TypeError, KeyError):
        return dict.fromkeys(contexts_in(kubeconfig), "")


def only(kubeconfig: Path, *contexts: str) -> dict[str, Any]:
    """What a kubeconfig has to say to lead to these contexts alone, the first one being current, in whatever folder
    it is kept. Raises OSError, and ValueError for a context that is not there or leads nowhere."""
    try:
        content, folder = content_of(kubeconfig), kubeconfig.absolute().parent
        chosen = [_named(content["contexts"], name) for name in dict.fromkeys(contexts)]
        clusters = dict.fromkeys(str(each["context"]["cluster"]) for each in chosen)
        users = dict.fromkeys(str(each["context"]["user"]) for each in chosen if each["context"].get("user"))
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [_with_paths(_named(content["clusters"], name), "cluster", folder) for name in clusters],
            "users": [_with_paths(_named(content["users"], name), "user", folder) for name in users],
            "contexts": chosen,
            "current-context": contexts[0],
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(kubeconfig) from error


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (entry for entry in entries if entry["name"] == name)
    return found


_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _with_paths(entry: Mapping[str, Any], kind: str, folder: Path) -> dict[str, Any]:
    """Its files from the root on: kubectl looks for them from the kubeconfig's own folder, and so for a plugin,
    unless it is named without a folder, for which the PATH is searched."""
    content = dict(entry[kind])
    for key in _FILES:
        if content.get(key):
            content[key] = str(folder / content[key])
    plugin = content.get("exec")
    if plugin and os.sep in plugin["command"]:
        content["exec"] = {**plugin, "command": str(folder / plugin["command"])}
    return {**entry, kind: content}
