"""Orphans: what carries the workshop's tag in a group although the profile does not name it.

One was made under another profile (a cluster that had another name), or by hand. Only the list of what is in the
group and the tag tell of it, so there is nothing it should be like: it can only be deleted. Clusters go first, for
they keep networks and identities in use. How the rest hangs together nobody here knows, so what cannot be deleted
is tried again once something else is gone.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop.azure.cluster import Cluster
from workshop.azure.connection import PLACES, Azure, Object, Place, as_error, gather
from workshop.azure.cost import there_since
from workshop.azure.group import Group
from workshop.azure.identity import Identity
from workshop.azure.live_resources import GroupContents, GroupMember, live_resource
from workshop.azure.network import Network
from workshop.azure.operations import Operations
from workshop.azure.registry import Registry
from workshop.azure.resource import TAG, Resource
from workshop.runbook.errors import WorkshopError
from workshop.runbook.journal import Journal
from workshop.runbook.results import ABSENT, Difference
from workshop.runbook.stop import Stopped

if TYPE_CHECKING:
    from workshop.runbook.run import Run


@dataclass(frozen=True)
class Orphan(Resource):
    """`kind` in words where the workshop makes such things, else Azure's type."""

    id: str = ""
    kind: str = ""
    api_version: str = ""

    usual = 60.0
    limit = Cluster.limit

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    def wanted(self) -> Object:
        raise NotImplementedError("it is only ever deleted")

    @property
    def commands(self) -> tuple[str, ...]:
        return ()


def labs_resources(azure: Azure) -> tuple[Resource, ...]:
    """What the labs' steps make, and delete themselves."""
    return (Registry(azure), *(kind(azure, place) for place in PLACES for kind in (Cluster, Identity, Network)))


def remove_commands(azure: Azure, place: Place) -> tuple[str, ...]:
    """What a person would type: the names of the orphans come from Azure's list."""
    group = Group(azure, place)
    known = ", ".join(f"'{each.name}'" for each in labs_resources(azure) if each.group == group.name)
    tag = azure.settings.tag.replace("\\", r"\\").replace("'", r"\'")
    query = f"[?tags.{TAG}=='{tag}' && !contains([{known}], name)].id"
    typed = shlex.quote(query) if set(tag) & set('"$`\\!') else f'"{query}"'
    return (f"az resource list {group.where} --query {typed} --output tsv | xargs -r az resource delete --ids",)


async def differences(run: Run, place: Place) -> tuple[Difference, ...]:
    """What is there and should not be, for a check."""
    azure, found = run.use(Azure), await _members(run, place)
    return tuple(
        Difference(
            Orphan(azure, place, member.id, _kind(azure, member)).title,
            "",
            ABSENT,
            "present, not in the profile",
            there_since(azure, member.created),
        )
        for member in found
    )


async def settle(run: Run, place: Place) -> None:
    """What an earlier run was killed in, on something that is neither named nor there any more, has ended."""
    azure, journal = run.use(Azure), run.use(Journal)
    group = f"{Group(azure, place).id}/providers/".lower()
    begun = [each.resource_id for each in journal.under_way() if each.resource_id.startswith(group)]
    lost = [id_ for id_ in begun if not _among(id_, labs_resources(azure))]
    found = [Orphan(azure, place, member.id) for member in await _members(run, place)] if lost else []
    for id_ in lost:
        if not _among(id_, found):
            journal.end(id_, succeeded=False)


def _among(id_: str, resources: Sequence[Resource]) -> bool:
    """Whether an operation's id is that of one of these, or of something in it."""
    return any(f"{id_}/".startswith(f"{each.id}/".lower()) for each in resources)


async def remove(run: Run, place: Place, cluster: Resource | None) -> None:
    """Delete all orphans of that place's group, and with the clusters among them the place's own, if there is one.
    Raises WorkshopError for what cannot be deleted, once all that can be is."""
    orphans = await gather(*(_orphan(run, place, member) for member in await _members(run, place)))
    clusters = [orphan for orphan in orphans if orphan.kind == Cluster.kind]
    await _in_rounds(run, [*clusters, cluster] if cluster else clusters)
    await _in_rounds(run, [orphan for orphan in orphans if orphan not in clusters])


async def _members(run: Run, place: Place) -> tuple[GroupMember, ...]:
    """The orphans, as the group's list has them."""
    azure = run.use(Azure)
    group = Group(azure, place)
    if await live_resource(run, group) is None:
        return ()
    known = {resource.id.lower() for resource in labs_resources(azure)}
    members = await run.observe(GroupContents(group.id))
    return tuple(member for member in members if member.ours and member.id.lower() not in known)


async def _in_rounds(run: Run, doomed: Sequence[Resource]) -> None:
    left = list(doomed)
    while left:
        ended = await asyncio.gather(*(Operations(run).remove(each) for each in left), return_exceptions=True)
        failed = [(each, error) for each, error in zip(left, ended, strict=True) if error is not None]
        for _, error in failed:
            if isinstance(error, Stopped) or not isinstance(error, WorkshopError):
                raise error
        if len(failed) == len(left):
            raise failed[0][1]
        left = [each for each, _ in failed]


async def _orphan(run: Run, place: Place, member: GroupMember) -> Orphan:
    azure = run.use(Azure)
    made = _made(azure, member)
    version = made.api_version if made else await _version(azure, member.type)
    return Orphan(azure, place, member.id, _kind(azure, member), version)


def _kind(azure: Azure, member: GroupMember) -> str:
    made = _made(azure, member)
    return made.kind if made else member.type


def _made(azure: Azure, member: GroupMember) -> Resource | None:
    """A resource of that type that the labs make."""
    provider = f"/providers/{member.type}/".lower()
    return next((resource for resource in labs_resources(azure) if provider in resource.id.lower()), None)


async def _version(azure: Azure, type_: str) -> str:
    """The newest API version of a type that is not a preview, as its provider has it. Raises WorkshopError."""
    namespace, _, kind = type_.partition("/")
    tried = f"look up how to delete {type_}"

    def look() -> list[str]:
        types = azure.resources().providers.get(namespace).resource_types or ()
        return next(
            (each.api_versions or [] for each in types if str(each.resource_type).lower() == kind.lower()), []
        )

    with as_error(azure):
        versions = sorted(await azure.call(tried, look), reverse=True)
    if not versions:
        raise WorkshopError(tried, f"the provider {namespace} names no API version of it")
    return next((version for version in versions if "preview" not in version), versions[0])
