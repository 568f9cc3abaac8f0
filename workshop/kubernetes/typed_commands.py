"""Commands as a person types them instead of a step, to be pasted into whatever shell it is.

A person's own kubectl and istioctl look for a kubeconfig elsewhere, take its current context, and may not be on the
PATH at all: so what is to be typed next says for which cluster it is, and by which program.

Manifests have placeholders, and a stage's objects are in no file at all, so objects are typed as they are applied,
in a here-document. What has to be observed is a variable in it, which commands before it set.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from workshop.kubernetes.manifests import Object, Value, as_yaml, commands_that_set, shell_variables
from workshop.runbook.run import Run

_CALLED = r"(^|\$\(|\| )({}) (?!--context|--kube-?con)"
"""Where a line calls one of some tools and does not say yet for which cluster."""


def for_any_shell(command: str, tool: str, program: str, kubeconfig: Path, context: str) -> str:
    """`kubectl ...`, `istioctl ...` or `helm ...` for this cluster. `program` is what the workshop itself calls,
    the one beside this Python unless it is known; the tool's name is enough where a shell finds it."""
    path = tool if shutil.which(tool) else program or str(Path(sys.executable).with_name(tool))
    argv = (path, f"--kubeconfig={kubeconfig.absolute()}", f"{_option(tool)}={context}")
    return _told(command, tool, lambda _: shlex.join(argv))


def with_context(command: str, context: str) -> str:
    """`kubectl ...`, `istioctl ...` or `helm ...` as it is typed for a context that is not the current one, also
    where what it prints is put into a variable."""
    return _told(command, "kubectl|istioctl|helm", lambda tool: f"{tool} {_option(tool)} {shlex.quote(context)}")


def _option(tool: str) -> str:
    return "--kube-context" if tool == "helm" else "--context"


def _told(command: str, tools: str, told: Callable[[str], str]) -> str:
    """What a here-document has stays as it is."""
    line, newline, document = command.partition("\n")
    called = re.compile(_CALLED.format(tools))
    return called.sub(lambda found: f"{found[1]}{told(found[2])} ", line) + newline + document


_EXPANDED = re.compile(r"[\\$`]")
"""What a shell reads as more than a sign in a here-document, unless its word is quoted."""


def apply_commands(run: Run, objects: Sequence[Object], values: tuple[Value, ...] = ()) -> tuple[str, ...]:
    """Apply objects that were made with these values as they are shown."""
    if not objects:
        return ()
    return (*commands_that_set(values, run), with_stdin("kubectl apply -f -", objects, shell_variables(values)))


def with_stdin(command: str, objects: Iterable[Object], variables: Iterable[str] = ()) -> str:
    """The command with objects on its stdin, in which the shell fills in the variables."""
    yaml = as_yaml(objects)
    named = [f"${name}" for name in variables if f"${name}" in yaml]
    if not named:
        return f"{command} <<'EOF'\n{yaml}EOF"
    yaml = _EXPANDED.sub(r"\\\g<0>", yaml)
    for name in named:
        yaml = yaml.replace(f"\\{name}", name)
    return f"{command} <<EOF\n{yaml}EOF"


def restart_commands(objects: Iterable[Object]) -> Iterator[str]:
    """Replace the pods of those that are Deployments, namespace by namespace."""
    names: dict[str, list[str]] = {}
    for obj in _deployments(objects):
        names.setdefault(obj["metadata"]["namespace"], []).append(obj["metadata"]["name"])
    for namespace, those in names.items():
        yield f"kubectl rollout restart deployment -n {namespace} {' '.join(those)}"


def rollout_commands(objects: Iterable[Object]) -> Iterator[str]:
    """Wait until those that are Deployments are available."""
    for obj in _deployments(objects):
        yield f"kubectl rollout status -n {obj['metadata']['namespace']} deployment/{obj['metadata']['name']}"


def _deployments(objects: Iterable[Object]) -> Iterator[Object]:
    return (obj for obj in objects if obj["kind"] == "Deployment")
