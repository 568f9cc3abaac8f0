"""Revisions: which replica set is a deployment's present template, and what the others were.

The revision number and the rollout history live in annotations, where `kubectl rollout history` and `undo`
read them. An undo is nothing special here: kubectl writes an older template into the deployment, and the
replica set that has it becomes the newest revision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from sandbox.controllers import owners
from sandbox.controllers.rollout import Limits
from sandbox.core.cluster import Object
from sandbox.core.objects import clone

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
_HISTORY = "deployment.kubernetes.io/revision-history"
_MAXIMUM = "deployment.kubernetes.io/max-replicas"
_OWN = {REVISION, _HISTORY, DESIRED, _MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"}

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object, collisions: int = 0) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":")) + (f"#{collisions}" if collisions else "")
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(10):
        number, at = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[at])
    return "".join(letters)


def plain_template(replica_set: Object) -> Object:
    """The template as the deployment has it: without the label that tells replica sets apart."""
    template: Object = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    template["metadata"] = {**metadata, "labels": labels}
    return template


def same_template(deployment: Object, replica_set: Object) -> bool:
    wanted, there = deployment["spec"]["template"], plain_template(replica_set)
    metadata = {key: value for key, value in (wanted.get("metadata") or {}).items() if value}
    kept = {key: value for key, value in there["metadata"].items() if value}
    return bool(wanted["spec"] == there["spec"]) and metadata == kept


def find_new(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """The replica set of the present template; the oldest one, should there be several."""
    for replica_set in sorted(replica_sets, key=age):
        if same_template(deployment, replica_set):
            return replica_set
    return None


def age(obj: Object) -> tuple[str, int]:
    """Sorts the oldest first; creation times are whole seconds only, so the revision decides within one."""
    return obj["metadata"]["creationTimestamp"], revision_of(obj)


def revision_of(obj: Object) -> int:
    try:
        return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))
    except ValueError:
        return 0


def make(deployment: Object, size: int, revision: int, limits: Limits) -> Object:
    """A replica set of the present template."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    suffix = template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount", 0))
    template = clone(spec["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[HASH_LABEL] = suffix
    selector = clone(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = suffix
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "ownerReferences": [owners.reference_to(deployment)],
        },
        "spec": {"replicas": size, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    describe(made, deployment, revision)
    note_sizes(made, limits)
    return made


def describe(replica_set: Object, deployment: Object, revision: int) -> None:
    """Carry the deployment's annotations (such as the change's cause) and the revision on its replica set."""
    annotations = replica_set["metadata"].setdefault("annotations", {})
    for key, value in (deployment["metadata"].get("annotations") or {}).items():
        if key not in _OWN:
            annotations[key] = value
    before = revision_of(replica_set)
    if before < revision:
        if before:
            history = [one for one in annotations.get(_HISTORY, "").split(",") if one]
            annotations[_HISTORY] = ",".join([*history, str(before)])
        annotations[REVISION] = str(revision)


def has_noted(replica_set: Object, limits: Limits) -> bool:
    annotations = replica_set["metadata"].get("annotations") or {}
    return annotations.get(DESIRED) == str(limits.desired) and annotations.get(_MAXIMUM) == str(limits.most)


def note_sizes(replica_set: Object, limits: Limits) -> None:
    """What the sizes were decided from, so that a later scaling of the deployment is noticed."""
    annotations = replica_set["metadata"].setdefault("annotations", {})
    annotations[DESIRED] = str(limits.desired)
    annotations[_MAXIMUM] = str(limits.most)
