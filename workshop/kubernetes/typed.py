"""What a person types instead of a step: commands as they are, to be pasted into a shell.

Manifests have placeholders, and a stage's objects are in no file at all, so objects are typed as they are applied,
in a here-document. What has to be observed is a variable in it, which commands before it set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.manifests import as_yaml

if TYPE_CHECKING:
    from workshop.kubernetes.values import Value
    from workshop.runbook.run import Run

Object = dict[str, Any]

_EXPANDED = re.compile(r"[\\$`]")
"""What a shell reads as more than a sign in a here-document, unless its word is quoted."""


def applied(run: Run, objects: Sequence[Object], values: tuple[Value, ...] = ()) -> tuple[str, ...]:
    """Apply objects that were made with these values as they are shown."""
    from workshop.kubernetes.values import setting, variables

    if not objects:
        return ()
    return (*setting(values, run), fed("kubectl apply -f -", objects, variables(values)))


def fed(command: str, objects: Iterable[Object], variables: Iterable[str] = ()) -> str:
    """The command with objects on its stdin, in which the shell fills in the variables."""
    yaml = as_yaml(objects)
    named = [f"${name}" for name in variables if f"${name}" in yaml]
    if not named:
        return f"{command} <<'EOF'\n{yaml}EOF"
    yaml = _EXPANDED.sub(r"\\\g<0>", yaml)
    for name in named:
        yaml = yaml.replace(f"\\{name}", name)
    return f"{command} <<EOF\n{yaml}EOF"


def restarted(objects: Iterable[Object]) -> Iterator[str]:
    """Replace the pods of those that are Deployments, namespace by namespace."""
    names: dict[str, list[str]] = {}
    for obj in _deployments(objects):
        names.setdefault(obj["metadata"]["namespace"], []).append(obj["metadata"]["name"])
    for namespace, those in names.items():
        yield f"kubectl rollout restart deployment -n {namespace} {' '.join(those)}"


def rolled_out(objects: Iterable[Object]) -> Iterator[str]:
    """Wait until those that are Deployments are available."""
    for obj in _deployments(objects):
        yield f"kubectl rollout status -n {obj['metadata']['namespace']} deployment/{obj['metadata']['name']}"


def _deployments(objects: Iterable[Object]) -> Iterator[Object]:
    return (obj for obj in objects if obj["kind"] == "Deployment")
