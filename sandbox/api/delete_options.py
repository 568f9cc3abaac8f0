"""metav1.DeleteOptions: how a DELETE, or the delete of an eviction, is meant."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.api import errors
from sandbox.api.deletion import Deletion
from sandbox.api.requests import dry_run, number
from sandbox.core.cluster import Object
from sandbox.core.objects import at

_KNOWN = {
    *("apiVersion", "kind", "dryRun", "gracePeriodSeconds", "orphanDependents", "preconditions"),
    "propagationPolicy",
}


def deletion_of(options: Object, query: Mapping[str, str]) -> Deletion:
    """From options and, for what they leave out, a request's query. Raises ApiError for what is not sound."""
    if unknown := sorted(options.keys() - _KNOWN):
        raise errors.bad_request(f"DeleteOptions: {unknown[0]} is not supported by the sandbox")
    policy = options.get("propagationPolicy") or query.get("propagationPolicy") or None
    if policy not in (None, "Background", "Foreground", "Orphan"):
        raise errors.bad_request(f'propagationPolicy: Unsupported value: "{policy}"')
    if options.get("orphanDependents") is not None:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    grace = options.get("gracePeriodSeconds")
    if grace is None:
        grace = number(query, "gracePeriodSeconds")
    elif type(grace) is not int:
        raise errors.bad_request(f"gracePeriodSeconds: {grace!r} is not a number")
    asked = options.get("dryRun") or []
    if not isinstance(asked, list):
        raise errors.bad_request("dryRun: it is not a list")
    return Deletion(
        propagation=policy,
        grace_seconds=grace,
        uid=at(options, "preconditions", "uid"),
        resource_version=at(options, "preconditions", "resourceVersion"),
        dry_run=any(dry_run({"dryRun": str(one)}) for one in [*asked, query.get("dryRun", "")]),
    )
