"""The page that `invoke lab.istio --explain` writes, as other tools run it: a script, tasks, objects.

So what they do is what the page says, and no list of our own that could be easier. `by_hand` leaves out what only
looks (pages fetched, logs read, loads run), as those are proofs, and ends with the first command that fails. What
Helm does is no apply of objects: labs with charts are left out on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Object = dict[str, Any]
WITH_HELM = ("istio.ratings",)

_BEFORE = r"""
failed() { echo "failed: $*" >&2; kill $$; }
kubectl() {
    local verb=$1
    [ "$1" = --context ] && verb=$3
    case "$verb $*" in
        "get --context secondary "*jsonpath*) ;;
        get*|exec*|logs*) return 0 ;;
    esac
    command kubectl "$@" || failed "kubectl $*"
}
istioctl() { case " $* " in *" install "*) command istioctl "$@" > /dev/null || failed "istioctl $*" ;; esac; }
curl() { :; }
sleep() { :; }
"""


def by_hand(*scripts: str) -> str:
    """As one script. Of what is looked at only the secondary's gateway is needed, in a manifest. The last command
    may be a `grep` that finds nothing, as nothing was looked at."""
    return "\n".join((_BEFORE, *scripts, ":"))


@dataclass(frozen=True)
class PageStep:
    """`after` are steps by name. `objects` are what it applies, by context."""

    name: str
    script: str
    after: tuple[str, ...]
    objects: tuple[tuple[str, Object], ...] = field(repr=False)

    @property
    def installs(self) -> bool:
        return bool(re.search(r"(?m)^istioctl .*\binstall -y", self.script))


def steps_of(page: str) -> list[PageStep]:
    """In the page's order; the last step of each lab waits for its others, the first one for the labs it needs."""
    found: list[PageStep] = []
    last: dict[str, str] = {}
    for section in re.split(r"(?m)^## ", page)[1:]:
        lab = section.partition(":")[0]
        if lab in WITH_HELM:
            continue
        needs = re.search(r"(?m)^Needs: (.*(?:\n.+)*)", section)
        after = tuple(last[need.strip()] for need in re.split(r"[,\s]+", needs[1] if needs else "") if need in last)
        for number, script in re.findall(r"(?ms)^### (\d+)\. .*?^```sh\n(.*?)^```", section):
            name = f"{lab}.{number}"
            found.append(PageStep(name, script, after, tuple(_objects(script))))
            last[lab], after = name, (name,)
    return found


def _objects(script: str) -> Iterator[tuple[str, Object]]:
    for context, text in re.findall(r"(?ms)^kubectl (?:--context (\S+) )?apply -f - <<\S+\n(.*?)^EOF$", script):
        yield from ((context or "primary", each) for each in yaml.safe_load_all(text) if each)


def in_the_end(steps: list[PageStep]) -> dict[str, list[Object]]:
    """All objects as the page leaves them, by context, the namespaces first and with the labels they are given."""
    found: dict[tuple[str, ...], Object] = {}
    for step in steps:
        for context, each in step.objects:
            metadata = each["metadata"]
            found[context, each["kind"], metadata.get("namespace", ""), metadata["name"]] = each
    for context, obj in ((key[0], obj) for key, obj in found.items() if obj["kind"] == "Namespace"):
        obj["metadata"]["labels"] |= labels_given(steps, context, obj["metadata"]["name"])
    ordered = sorted(found.items(), key=lambda item: item[1]["kind"] != "Namespace")
    return {name: [each for (context, *_), each in ordered if context == name] for name in ("secondary", "primary")}


def labels_given(steps: list[PageStep], context: str, namespace: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for step in steps:
        for there, names, label in re.findall(
            r"(?m)^kubectl (?:--context (\S+) )?label namespace (.*?) (\S+=\S+) --overwrite", step.script
        ):
            if namespace in names.split() and (there or "primary") == context:
                key, _, value = label.partition("=")
                given[key] = value
    return given
