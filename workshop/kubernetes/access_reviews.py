"""What this user may do in a cluster, as the cluster itself answers: the reviews behind `kubectl auth can-i`.

In as few questions as possible. Whoever may do everything is known after one. Of anybody else the rules are
asked for, which are one answer for all kinds and verbs: those that hold in the whole cluster, then those of each
namespace where these are not enough. Only where an authorizer cannot list its rules (a cloud's webhook says so:
`incomplete`), is asked one by one what the rules do not allow: for all verbs of a kind at once, then for each.

The rules of the whole cluster are those of a namespace that nobody has bound a role in: the API gives rules only
for some namespace, and those of a namespace would not tell whether they hold outside of it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workshop.kubernetes.kinds import ACCESS_REVIEW, RULES_REVIEW
from workshop.kubernetes.kubectl import Kubectl

NOWHERE = "mesh-workshop-is-not-here"
"""A namespace that nobody has."""

Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """`verb` on a `resource` of a group ("pods", "pods/exec"), in a namespace; in the whole cluster where that is
    empty. "*" is any of them."""

    resource: str
    group: str
    verb: str
    namespace: str = ""

    @property
    def named(self) -> str:
        """ "deployments.apps", "pods/exec"."""
        return f"{self.resource}.{self.group}" if self.group not in ("", "*") else self.resource

    @property
    def typed(self) -> str:
        """How a person asks for it."""
        resource, _, part = self.named.partition("/")
        words = f"kubectl auth can-i {_quoted(self.verb)} {_quoted(resource)}"
        words += f" --subresource={part}" if part else ""
        return words + (f" -n {self.namespace}" if self.namespace else "")


EVERYTHING = Access("*", "*", "*")


async def denied(kubectl: Kubectl, wanted: Iterable[Access]) -> list[Access]:
    """Those of `wanted` that the cluster would refuse. Raises KubectlError."""
    if await _may(kubectl, EVERYTHING):
        return []
    rules, incomplete = await _rules(kubectl, NOWHERE)
    left = sorted(each for each in set(wanted) if not _allowed(rules, each))
    homes = sorted({each.namespace for each in left if each.namespace})
    found = dict(zip(homes, await asyncio.gather(*(_rules(kubectl, home) for home in homes)), strict=True))
    left = [each for each in left if not (each.namespace and _allowed(found[each.namespace][0], each))]
    if not incomplete and not any(unknown for _, unknown in found.values()):
        return left
    return await _one_by_one(kubectl, left)


async def _one_by_one(kubectl: Kubectl, wanted: Sequence[Access]) -> list[Access]:
    wholes = sorted({Access(each.resource, each.group, "*", each.namespace) for each in wanted})
    whole = dict(zip(wholes, await asyncio.gather(*(_may(kubectl, each) for each in wholes)), strict=True))
    left = [each for each in wanted if not whole[Access(each.resource, each.group, "*", each.namespace)]]
    may = await asyncio.gather(*(_may(kubectl, each) for each in left))
    return [each for each, yes in zip(left, may, strict=True) if not yes]


async def _may(kubectl: Kubectl, wanted: Access) -> bool:
    resource, _, part = wanted.resource.partition("/")
    attributes = {
        "verb": wanted.verb,
        "group": wanted.group,
        "resource": resource,
        "subresource": part,
        "namespace": wanted.namespace,
    }
    spec = {"resourceAttributes": {name: value for name, value in attributes.items() if value}}
    return bool((await kubectl.review(ACCESS_REVIEW, spec, wanted.typed)).get("allowed"))


async def _rules(kubectl: Kubectl, namespace: str) -> tuple[list[Rule], bool]:
    """Those of a namespace, and whether there may be others."""
    said = await kubectl.review(RULES_REVIEW, {"namespace": namespace}, f"kubectl auth can-i --list -n {namespace}")
    return list(said.get("resourceRules") or ()), bool(said.get("incomplete"))


def _allowed(rules: Iterable[Rule], wanted: Access) -> bool:
    """As Kubernetes' RBAC matches (VerbMatches and the like in pkg/apis/rbac/v1/evaluation_helpers.go). A rule for
    some names alone is none for all of a kind."""
    return any(
        {wanted.verb, "*"} & set(rule.get("verbs") or ())
        and {wanted.group, "*"} & set(rule.get("apiGroups") or ())
        and _names(wanted.resource) & set(rule.get("resources") or ())
        and not rule.get("resourceNames")
        for rule in rules
    )


def _names(resource: str) -> set[str]:
    """How rules may name it."""
    _, parted, part = resource.partition("/")
    return {resource, "*", *({f"*/{part}"} if parted else ())}


def _quoted(word: str) -> str:
    return f"'{word}'" if "*" in word else word
