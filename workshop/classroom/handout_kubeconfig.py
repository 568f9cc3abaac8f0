"""The kubeconfig that a member is given: into this member's clusters, into nothing else, and not for ever.

It has a context for each cluster, named as labs and pages name them, whole in one file: certificates are in it
instead of beside it. Its credential is a token of an account that the cluster makes for it (`attendee_access`),
which ends by itself. A cluster that gives none leaves the credential of the kubeconfig that the workshop has
been using, and that is said. Two kinds of those are nothing to give away, and refused: a program that logs in
(it would ask for the instructor's login, on a machine where it is not installed), and a credential that leads
into other clusters too.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from workshop.azure import own_kubeconfig
from workshop.kubernetes import kubeconfigs
from workshop.kubernetes.attendee_access import SHORTEST, Token, grant
from workshop.kubernetes.cluster_guard import ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import UsageError
from workshop.target import CONTEXT, Target

_LATE = timedelta(seconds=60)
"""What clocks, and the time until a token arrives, may take of it."""

_INLINE = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}
_LOGINS = ("exec", "auth-provider")


@dataclass(frozen=True, slots=True)
class HandedOut:
    """`expires` is when the first of its credentials ends, where that is known; `said` is what is to be told of it
    beside, in words, else empty."""

    path: Path
    expires: datetime | None = None
    said: str = ""


async def write(target: Target, member_name: str, folder: Path, seconds: int) -> HandedOut:
    """For the member of that name, into `folder`, mode 0600, good for so many seconds where the clusters can.
    Raises UsageError for a cluster that is not the workshop's, or has no credential to give away; KubectlError."""
    if seconds < SHORTEST:
        raise UsageError(
            f"write the kubeconfig of {member_name}",
            f"its token is to last {seconds} s",
            cause=f"Kubernetes gives none for less than {SHORTEST} s",
        )
    path, content = folder / f"{member_name}.kubeconfig", _empty()
    clusters = {CONTEXT: (target.kubectl, target.cluster)}
    for name, other in target.others.clusters.items():
        clusters[name] = (replace(target.kubectl, context=other.context), other.guard)
    expiries, said = [], []
    for name, (kubectl, guard) in clusters.items():
        if kubectl.absent:
            continue
        entry = _entry(kubectl, member_name)
        given = await _token(kubectl, guard, seconds)
        if isinstance(given, Token):
            user: Mapping[str, Any] = {"token": given.token}
            expiries.append(given.expires)
            if (short := _shortened(given, seconds)) and short not in said:
                said.append(short)
        else:
            user = _own_user(
                kubectl, entry.user, member_name, given, [each.context for each, _ in clusters.values()]
            )
            said.append(
                f"{name}: it has the credential of {kubectl.kubeconfig}, which does not end by itself: the cluster "
                f"gives no token ({given})"
            )
        _put(content, name, entry.cluster, user)
    if not content["contexts"]:
        raise UsageError(
            f"write the kubeconfig of {member_name}",
            "there is no cluster yet",
            cause=f"{target.which} is yet to be made",
            next_command=target.kubectl.start_hint,
        )
    own_kubeconfig.write(path, content)
    return HandedOut(path, min(expiries, default=None), "; ".join(said))


async def _token(kubectl: Kubectl, guard: ClusterGuard, seconds: int) -> Token | str:
    await guard.may_change()
    return await grant(kubectl, seconds)


def _shortened(given: Token, seconds: int) -> str:
    left = given.expires - datetime.now(UTC)
    if left >= timedelta(seconds=seconds) - _LATE:
        return ""
    return f"asked for {_hours(seconds)}, the cluster gives {_hours(left.total_seconds())}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the member's kubeconfig says of a context."""

    cluster: Mapping[str, Any]
    user: Mapping[str, Any]

    def __repr__(self) -> str:
        return "_Entry()"


def _entry(kubectl: Kubectl, member_name: str) -> _Entry:
    """With files' contents in the place of their names. Raises UsageError."""
    try:
        found = kubeconfigs.only(kubectl.kubeconfig, kubectl.context)
        cluster = _whole(found["clusters"][0]["cluster"])
        user = found["users"][0]["user"] if found["users"] else {}
        return _Entry(cluster, user or {})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"write the kubeconfig of {member_name}",
            f"{kubectl.kubeconfig} does not say where {kubectl.context} is",
            cause=error.strerror or ""
            if isinstance(error, OSError)
            else "it is damaged, or names what is not in it",
            next_command=shlex.join(["kubectl", f"--kubeconfig={kubectl.kubeconfig}", "config", "get-contexts"]),
        ) from None


def _whole(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is only this machine's: files are read in, and notes of programs left out. Raises OSError."""
    found = {key: value for key, value in entry.items() if key != "extensions"}
    for key, inline in _INLINE.items():
        if path := found.pop(key, None):
            found.setdefault(inline, base64.b64encode(Path(path).read_bytes()).decode())
    if path := found.pop("tokenFile", None):
        found["token"] = Path(path).read_text(encoding="utf-8").strip()
    return found


def _own_user(
    kubectl: Kubectl, user: Mapping[str, Any], member_name: str, why: str, own: Iterable[str]
) -> Mapping[str, Any]:
    """The credential that the kubeconfig has for this context, one of the member's `own`. Raises UsageError
    where it is none to give away."""
    tried = f"write the kubeconfig of {member_name}"
    login = next((key for key in _LOGINS if user.get(key)), "")
    if login:
        program = user[login].get("command") or user[login].get("name") or login
        raise UsageError(
            tried,
            f"{kubectl.context} logs in by a program ({program}), and the cluster gives no token ({why})",
            cause="a login of yours cannot be handed out: let this user make ServiceAccounts, ClusterRoleBindings "
            "and tokens in the cluster, or give the member a login of their own",
            next_command=kubectl.typed(
                "kubectl auth can-i create serviceaccounts --subresource=token -n workshop-system"
            ),
        )
    if user and (others := _shared(kubectl, own)):
        raise UsageError(
            tried,
            f"the credential of {kubectl.context} is that of {_some(others)} too, and the cluster gives no "
            f"token ({why})",
            cause="whoever has it gets into those clusters: give each member a credential of their own",
            next_command=shlex.join(["kubectl", f"--kubeconfig={kubectl.kubeconfig}", "config", "get-contexts"]),
        )
    try:
        return _whole(user)
    except OSError as error:
        raise UsageError(tried, f"{error.filename}: {error.strerror}", cause="the kubeconfig names it") from None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} others" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _shared(kubectl: Kubectl, own: Iterable[str]) -> list[str]:
    """Contexts of the same kubeconfig that lead into another cluster with the same credential."""
    content = kubeconfigs.content_of(kubectl.kubeconfig)
    users = {each["name"]: each.get("user") for each in content.get("users") or ()}
    servers = {each["name"]: (each.get("cluster") or {}).get("server") for each in content.get("clusters") or ()}
    contexts = {each["name"]: each.get("context") or {} for each in content.get("contexts") or ()}
    mine = contexts[kubectl.context]
    return [
        name
        for name, context in contexts.items()
        if users.get(context.get("user")) == users.get(mine.get("user"))
        and name not in own
        and servers.get(context.get("cluster")) not in (None, servers.get(mine.get("cluster")))
    ]


def _empty() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [],
        "users": [],
        "contexts": [],
        "current-context": CONTEXT,
    }


def _put(content: dict[str, Any], name: str, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    content["clusters"].append({"name": name, "cluster": dict(cluster)})
    content["users"].append({"name": name, "user": dict(user)})
    content["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
