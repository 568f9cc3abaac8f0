"""Who am I, and what may I do: the sandbox has one user, who may do everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.api.requests import not_served
from sandbox.core.cluster import Object

USER = "workshop"
_GROUPS = ["system:masters", "system:authenticated"]


def answer(plural: str, review: Object) -> Object:
    """A review with its status. Raises ApiError for a review that does not exist."""
    if plural not in _STATUS:
        raise not_served()
    return {**review, "metadata": {"creationTimestamp": None}, "status": _STATUS[plural](review)}


def _who(_: Object) -> Object:
    return {"userInfo": {"username": USER, "groups": _GROUPS}}


def _access(_: Object) -> Object:
    return {"allowed": True, "reason": "the sandbox has one user, who may do everything"}


def _rules(_: Object) -> Object:
    return {
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }


_STATUS: Mapping[str, Callable[[Object], Object]] = {
    "selfsubjectreviews": _who,
    "selfsubjectaccessreviews": _access,
    "selfsubjectrulesreviews": _rules,
}
