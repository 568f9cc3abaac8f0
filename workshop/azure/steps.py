"""The steps of labs that are about Azure resources, as declarations.

    group("Make the resource group", "primary")
    cluster("Make the cluster", "primary")

Labs are imported by `invoke --list`, so everything heavy is imported when a step runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from workshop.runbook.model import Lab, Step, Together
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Verdict

if TYPE_CHECKING:
    from workshop.azure.connection import Azure
    from workshop.azure.resource import Resource
    from workshop.azure.role import Role
    from workshop.runbook.run import Run

Place = Literal["primary", "secondary"]
Purpose = Literal["network", "pull"]


def group(title: str, place: Place = "primary") -> Step:
    """A resource group. Undone by deleting it, unless something is in it that is not the workshop's."""
    return EnsureGroup(title, place, _group, f"Delete the {place}'s group")


def network(title: str, place: Place = "primary") -> Step:
    """A virtual network with a subnet for the nodes of that place's cluster."""
    return Ensure(title, place, _network, f"Delete the {place}'s network")


def identity(title: str, place: Place = "primary") -> Step:
    """The user-assigned identity that place's cluster acts as."""
    return Ensure(title, place, _identity, f"Delete the {place}'s identity")


def registry(title: str) -> Step:
    """The container registry, in the primary's group."""
    return Ensure(title, "primary", _registry, "Delete the registry")


def images(title: str) -> Step:
    """Copies of the images that the profile names, in the registry."""
    from workshop.azure.image_steps import ImportImages

    return ImportImages(title)


def cluster(title: str, place: Place = "primary") -> Step:
    """A managed cluster; needs its network, its identity and the identity's role."""
    return EnsureCluster(title, place, _cluster, f"Delete the {place} cluster and all that is tagged beside it")


def role(title: str, place: Place = "primary", purpose: Purpose = "network") -> Step:
    """`network`: that place's identity may use its network. `pull`: its cluster may pull from the registry."""
    return AssignRole(title, place, purpose)


def credentials(title: str, *places: Place) -> Step:
    """The clusters' contexts in the workshop's own kubeconfig, and the workshop's mark on the clusters."""
    from workshop.azure.credentials_step import Credentials

    return Credentials(title, places or ("primary", "secondary"))


def clusters_of(labs: Iterable[Lab]) -> tuple[Place, ...]:
    """The places whose clusters these labs make."""
    return tuple(step.place for step in _resources_of(labs) if isinstance(step, EnsureCluster))


def makes_registry(labs: Iterable[Lab]) -> bool:
    return any(step.kind is _registry for step in _resources_of(labs))


def _resources_of(labs: Iterable[Lab]) -> Iterator[Ensure]:
    for part in (part for lab in labs for part in lab.parts):
        steps = part.steps if isinstance(part, Together) else (part,)
        yield from (step for step in steps if isinstance(step, Ensure))


def _group(azure: Azure, place: Place) -> Resource:
    from workshop.azure.group import Group

    return Group(azure, place)


def _network(azure: Azure, place: Place) -> Resource:
    from workshop.azure.network import Network

    return Network(azure, place)


def _identity(azure: Azure, place: Place) -> Resource:
    from workshop.azure.identity import Identity

    return Identity(azure, place)


def _registry(azure: Azure, place: Place) -> Resource:
    from workshop.azure.registry import Registry

    return Registry(azure)


def _cluster(azure: Azure, place: Place) -> Resource:
    from workshop.azure.cluster import Cluster

    return Cluster(azure, place)


async def find(run: Run, resource: Resource) -> dict[str, Any] | None:
    from workshop.azure import facts

    return await facts.find(run, resource)


async def _find_role(run: Run, place: Place, purpose: Purpose) -> tuple[Role, dict[str, Any] | None]:
    from workshop.azure import facts

    return await facts.find_role(run, place, purpose)


async def _foreseen(
    run: Run, resource: Resource, live: dict[str, Any] | None, found: tuple[Difference, ...]
) -> str:
    """What a run does first; raises WorkshopError for what Azure would refuse."""
    from workshop.azure import foreseen

    return await foreseen.refuse(run, resource, live, found) if found else ""


async def _refuse_unknown(run: Run, resource: Resource, found: tuple[Difference, ...]) -> None:
    """Raises WorkshopError for a difference only because the profile names what there is not."""
    from workshop.azure import foreseen

    await foreseen.refuse_unknown(run, resource, found)


class Ensure(Step):
    """A resource that is to be there, as the profile wants it."""

    def __init__(
        self, title: str, place: Place, kind: Callable[[Azure, Place], Resource], undo_title: str = ""
    ) -> None:
        self.title, self.place, self.kind, self.undo_title = title, place, kind, undo_title

    async def check(self, run: Run) -> Check:
        resource = self.resource(run)
        live = await find(run, resource)
        found = resource.differences(live)
        if found and live is not None:
            resource.refuse_foreign(live)
            await _refuse_unknown(run, resource, found)
            resource.refuse_fixed(found, run.program, run.lab)
        return Check(found, await _foreseen(run, resource, live, found))

    async def apply(self, run: Run) -> None:
        from workshop.azure.operations import Operations

        await Operations(run).converge(self.resource(run))

    async def verify(self, run: Run) -> Verdict | None:
        """Shows what came of it; shared with the next step's check."""
        resource = self.resource(run)
        live = await find(run, resource)
        found = resource.differences(live)
        if found:
            first = found[0]
            return Verdict(
                "fail", f"{first.path or resource.title} is {first.found!r}, although Azure said it succeeded"
            )
        return Verdict("pass", resource.seen(live or {}))

    async def settle(self, run: Run) -> None:
        """It is as it should be: an operation that an earlier run was killed in has ended since."""
        _over(run, self.resource(run))

    async def check_undo(self, run: Run) -> Check:
        resource = self.resource(run)
        live = await find(run, resource)
        if live is None:
            return Check()
        if not resource.is_ours(live):
            return Check(note=f"{resource.title} does not carry the workshop's tag: it stays")
        from workshop.azure import since

        note = await since.paid(run, resource, live) if resource.costs else ""
        return Check((Difference(resource.title, "", ABSENT, "present", note),))

    async def undo(self, run: Run) -> None:
        from workshop.azure.operations import Operations

        await Operations(run).remove(self.resource(run))

    def explain(self, run: Run) -> Explanation:
        from workshop.azure.providers import NEEDED

        resource = self.resource(run)
        register = f"az provider register --namespace {resource.namespace} --wait"
        first = (
            (f"{register} --subscription {resource.azure.subscription}",) if resource.namespace in NEEDED else ()
        )
        return Explanation(_yaml(resource.wanted()), (*first, *resource.commands))

    def explain_undo(self, run: Run) -> Explanation:
        return Explanation(commands=self.resource(run).remove_commands)

    def resource(self, run: Run) -> Resource:
        return self.kind(_azure(run), self.place)


class EnsureCluster(Ensure):
    """Undone with all else in its group that carries the workshop's tag and that no step names, such as a cluster
    made under another profile: that would keep the network in use, and cost money."""

    async def settle(self, run: Run) -> None:
        from workshop.azure import stray

        await super().settle(run)
        await stray.settle(run, self.place)

    async def check_undo(self, run: Run) -> Check:
        from workshop.azure import stray

        check = await super().check_undo(run)
        return Check((*check.differences, *await stray.differences(run, self.place)), check.note)

    async def undo(self, run: Run) -> None:
        from workshop.azure import stray

        there = (await super().check_undo(run)).differences
        await stray.remove(run, self.place, self.resource(run) if there else None)

    def explain_undo(self, run: Run) -> Explanation:
        from workshop.azure import stray

        commands = stray.remove_commands(_azure(run), self.place)
        return Explanation(commands=(*self.resource(run).remove_commands, *commands))


class EnsureGroup(Ensure):
    async def check_undo(self, run: Run) -> Check:
        check = await super().check_undo(run)
        if check.converged:
            return check
        from workshop.azure.group import Contents, Group

        resource = self.resource(run)
        assert isinstance(resource, Group)
        members = await run.observe(Contents(resource.id))
        foreign = [f"{member.type} {member.name}" for member in members if not member.ours]
        if foreign:
            some = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
            return Check(note=f"{resource.title} stays: it holds what is not the workshop's ({some})")
        return check

    async def undo(self, run: Run) -> None:
        """Deleting a group deletes all that is in it, so it is looked at once more."""
        run.facts.forget()
        if not (await self.check_undo(run)).converged:
            await super().undo(run)


class AssignRole(Step):
    """A role of an identity on a resource. Which assignment that is follows from the identity found, so before
    there is one the check can only say that the role is missing."""

    def __init__(self, title: str, place: Place, purpose: Purpose) -> None:
        self.title, self._place, self._purpose = title, place, purpose
        may = "identity use its network" if purpose == "network" else "nodes pull from the registry"
        self.undo_title = f"No longer let the {place}'s {may}"

    async def check(self, run: Run) -> Check:
        role, live = await _find_role(run, self._place, self._purpose)
        found = role.differences(live) if live else (Difference(role.title, "", "present", ABSENT),)
        return Check(found, await _foreseen(run, role, live, found))

    async def settle(self, run: Run) -> None:
        from workshop.runbook.journal import Journal

        if run.use(Journal).under_way():  # else the role need not be looked for
            role, _ = await _find_role(run, self._place, self._purpose)
            _over(run, role)

    async def apply(self, run: Run) -> None:
        from workshop.azure.operations import Operations
        from workshop.runbook.errors import WorkshopError

        role, _ = await _find_role(run, self._place, self._purpose)
        if not role.principal:
            raise WorkshopError(
                f"give the {role.title}",
                f"the {role.holder.title} names no identity",
                cause="it is not there (any more), or is not ready yet",
                next_command=role.azure.advised(f"az resource show --ids {role.holder.id}"),
            )
        await Operations(run).converge(role)

    async def check_undo(self, run: Run) -> Check:
        role, live = await _find_role(run, self._place, self._purpose)
        if live is None:
            return Check()
        return Check((Difference(role.title, "", ABSENT, "present"),))

    async def undo(self, run: Run) -> None:
        from workshop.azure.operations import Operations

        role, live = await _find_role(run, self._place, self._purpose)
        if live is not None:
            await Operations(run).remove(role)

    def explain(self, run: Run) -> Explanation:
        from workshop.azure.role import Role

        return Explanation(commands=Role(_azure(run), self._place, self._purpose).commands)

    def explain_undo(self, run: Run) -> Explanation:
        from workshop.azure.role import Role

        return Explanation(commands=Role(_azure(run), self._place, self._purpose).remove_commands)


def _over(run: Run, resource: Resource) -> None:
    from workshop.runbook.journal import Journal

    journal = run.use(Journal)
    if journal.operation(resource.id):
        journal.end(resource.id, succeeded=False)


def _azure(run: Run) -> Azure:
    from workshop.azure.connection import Azure

    return run.use(Azure)


def _yaml(body: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(body, sort_keys=False, width=100)
    return text
