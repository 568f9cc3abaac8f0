"""A way into a cluster that can be given away: a token of an account of its own, which ends by itself.

The account is a ServiceAccount beside the workshop's mark, bound to cluster-admin, as labs install what is the
whole cluster's. It belongs to the adopted cluster and not to any lab, as the mark does: resets and clean-ups
leave it, for an attendee goes on working after one. `revoke` ends all tokens at once, whatever time they have
left: a token is good for as long as its account is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workshop.kubernetes.cluster_guard import NAMESPACE
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.manifests import PART_OF, WORKSHOP, Object

ACCOUNT = "mesh-workshop-attendee"
"""The name of the ServiceAccount, and of its ClusterRoleBinding."""

SHORTEST = 600
"""Seconds: Kubernetes gives no token for less (TokenRequest's spec.expirationSeconds)."""

_UNABLE = frozenset({Reason.FORBIDDEN, Reason.NOT_FOUND, Reason.NOT_SERVED, Reason.METHOD_NOT_ALLOWED})
"""Why a cluster gives no token to this user, now and later."""


@dataclass(frozen=True, slots=True)
class Token:
    """`expires` is what the cluster says; it may be sooner than what was asked for."""

    token: str
    expires: datetime

    def __repr__(self) -> str:
        return f"Token(expires={self.expires})"


def objects() -> list[Object]:
    labels = {PART_OF: WORKSHOP}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    account: Object = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": NAMESPACE, "labels": dict(labels)},
    }
    binding: Object = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT, "labels": dict(labels)},
        "roleRef": role,
        "subjects": [subject],
    }
    return [account, binding]


async def grant(kubectl: Kubectl, seconds: int) -> Token | str:
    """A token for so many seconds, of a cluster that is the workshop's; or in words why it gives none. Raises
    KubectlError where the cluster does not answer as one does."""
    try:
        await kubectl.apply(objects())
        said = await kubectl.token(NAMESPACE, ACCOUNT, seconds)
        return Token(str(said["token"]), _moment(said["expirationTimestamp"]))
    except KubectlError as error:
        if error.reason not in _UNABLE:
            raise
        return error.came_back
    except (KeyError, ValueError):
        return "its answer has no token"


async def revoke(kubectl: Kubectl) -> None:
    """Take the account away, and with it all of its tokens."""
    await kubectl.delete(objects(), wait=False)


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
