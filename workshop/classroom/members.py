"""Where the labs of each member run: the call's settings, with what the roster says of the member over them.

What differs between members is data, as it is between targets: the state folder, the context or the names of what
is made on Azure, and whether labs are proved. Nobody below knows that there are others.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from workshop.classroom.roster import Member, Roster
from workshop.kubernetes.kubeconfigs import servers_in, why_none
from workshop.runbook.errors import UsageError
from workshop.settings import Settings, read_profile
from workshop.target import Target, Use, describe

FOLDER = "class"
"""Of the state folder: what the members have."""


@dataclass(frozen=True)
class Seat:
    """A member with settings of its own. `measured`: its labs are proved with traffic."""

    member: Member
    settings: Settings
    measured: bool = True

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def folder(self) -> Path:
        """Of the member's state."""
        return self.settings.state_folder

    def target(self, use: Use | None = None) -> Target:
        """Raises UsageError for what is missing."""
        return describe(self.settings, use)


def class_folder(settings: Settings) -> Path:
    return settings.state_folder / FOLDER


def seats(
    settings: Settings,
    roster: Roster,
    members: Sequence[Member],
    overlaid: Callable[[Mapping[str, Any]], Settings],
) -> tuple[Seat, ...]:
    """Of these members of the roster. `overlaid` gives the call's settings with a profile over them. Raises
    UsageError for the first member that cannot be right, with its line, before anything is looked at; what leads to
    a cluster that another member of the whole roster has is refused as well."""
    made = {member.name: _settings(settings, roster, member, overlaid) for member in roster.members}
    _refuse_shared_folders(roster, made)
    _refuse_wrong_clusters(roster, made)
    proved = [member.name for member in roster.members if made[member.name].target == "sandbox"]
    proved = proved[: settings.classroom.measured]
    return tuple(
        Seat(
            member,
            made[member.name],
            made[member.name].target != "sandbox" or member.name in proved,
        )
        for member in members
    )


def _settings(
    call: Settings, roster: Roster, member: Member, overlaid: Callable[[Mapping[str, Any]], Settings]
) -> Settings:
    own = call
    try:
        if member.profile:
            own = overlaid(read_profile(Path(member.profile)))
        state = str(class_folder(call) / member.name)
        if member.context:
            cluster = replace(
                own.cluster,
                context=member.context,
                kubeconfig=member.kubeconfig or own.cluster.kubeconfig,
                secondary="",
            )
            own = replace(own, target="cluster", cluster=cluster)
    except UsageError as error:
        error.cause = "; ".join(filter(None, (error.cause, f"it is the profile of {member.name}")))
        raise
    return replace(own, state=state, azure=_azure(own, member))


def _azure(settings: Settings, member: Member) -> Any:
    """Groups, clusters and the registry, named for the member where several share a subscription."""
    azure = settings.azure
    if settings.target != "azure":
        return azure
    ending = member.name.lower()
    places = {
        name: replace(place, group=f"{place.group}-{ending}", cluster=f"{place.cluster}-{ending}")
        for name, place in (("primary", azure.primary), ("secondary", azure.secondary))
    }
    if member.cluster:
        places["primary"] = replace(places["primary"], cluster=member.cluster)
    derived = hashlib.sha256(f"{azure.subscription.lower()}/{ending}".encode()).hexdigest()[:12]
    return replace(azure, **places, registry=f"workshop{derived}")


def _refuse_shared_folders(roster: Roster, made: Mapping[str, Settings]) -> None:
    """A folder may be a link to another member's, whose sandbox and journal it then has."""
    owners: dict[Path, Member] = {}
    for member in roster.members:
        settings = made[member.name]
        for folder in (settings.state_folder, settings.sandbox_folder):
            before = owners.setdefault(folder.resolve(), member)
            if before is not member:
                raise UsageError(
                    f"read the roster {roster.named(member)}",
                    f"{member.name} has the state folder of {before.name} (line {before.line}): {folder} leads to "
                    f"{folder.resolve()}",
                    cause="each member needs a folder and a cluster of its own: they would undo each other's work",
                    next_command=shlex.join(["ls", "-ld", str(settings.state_folder), str(folder)]),
                )


def _refuse_wrong_clusters(roster: Roster, made: Mapping[str, Settings]) -> None:
    """A context that is not there is found now, and not when the others have begun; and no two members have one API
    server, which may have two contexts."""
    contexts, wrong = functools.cache(servers_in), functools.cache(why_none)
    servers: dict[str, Member] = {}
    for member in roster.members:
        settings, tried = made[member.name], f"read the roster {roster.named(member)}"
        if settings.target != "cluster":
            continue
        if not settings.cluster.context:
            raise UsageError(
                tried,
                f"{member.name} has no context",
                cause="its target is cluster: one that is there, which the member's context names",
            )
        kubectl = describe(settings).kubectl  # raises for a kubeconfig that is not there
        if why := wrong(kubectl.kubeconfig):
            raise UsageError(
                tried,
                f"{kubectl.kubeconfig}, the kubeconfig of {member.name}: {why}",
                next_command=shlex.join(["ls", "-l", str(kubectl.kubeconfig)]),
            )
        known = contexts(kubectl.kubeconfig)
        if kubectl.context not in known:
            near = difflib.get_close_matches(kubectl.context, known, n=1, cutoff=0.6)
            raise UsageError(
                tried,
                f"{kubectl.kubeconfig} has no context {kubectl.context!r}, which {member.name} is to have",
                cause=f"did you mean {near[0]}?" if near else f"it has {_listed(known)}",
                next_command=shlex.join(
                    ["kubectl", f"--kubeconfig={kubectl.kubeconfig}", "config", "get-contexts"]
                ),
            )
        if not (server := known[kubectl.context]):
            continue  # that it leads nowhere is found when it is looked at
        before = servers.setdefault(server, member)
        if before is not member:
            raise UsageError(
                tried,
                f"{member.name} has the cluster of {before.name} (line {before.line}): both lead to {server}",
                cause="each member needs a cluster of its own: they would undo each other's work",
            )


def _listed(names: Collection[str]) -> str:
    some = ", ".join(list(names)[:8]) or "none"
    return some + (f" and {len(names) - 8} more" if len(names) > 8 else "")
