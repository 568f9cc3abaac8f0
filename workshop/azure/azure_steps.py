"""The steps of labs that are about Azure, as declarations.

    group("Make the resource group", "primary")
    cluster("Make the cluster", "primary")

Labs are imported by `invoke --list`, so a declaration only says what is meant. What it comes to, and all that is
heavy, is in step_work.py, which is imported when a step runs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from workshop.runbook.model import Lab, Step, Together
from workshop.runbook.results import Check, Explanation, Hint, Verdict

if TYPE_CHECKING:
    from workshop.azure.connection import Place
    from workshop.azure.role import Purpose
    from workshop.azure.step_work import ResourceName, Work
    from workshop.runbook.run import Run


def group(title: str, place: Place = "primary") -> Step:
    """A resource group. Undone by deleting it, unless something is in it that is not the workshop's."""
    return ResourceStep("group", place, title, f"Delete the {place}'s group")


def network(title: str, place: Place = "primary") -> Step:
    """A virtual network with a subnet for the nodes of that place's cluster."""
    return ResourceStep("network", place, title, f"Delete the {place}'s network")


def identity(title: str, place: Place = "primary") -> Step:
    """The user-assigned identity that place's cluster acts as."""
    return ResourceStep("identity", place, title, f"Delete the {place}'s identity")


def registry(title: str) -> Step:
    """The container registry, in the primary's group."""
    return ResourceStep("registry", "primary", title, "Delete the registry")


def images(title: str) -> Step:
    """Copies of the images that the profile names, in the registry. Goes with it when that is undone."""
    return ImagesStep(title)


def own_images(title: str) -> Step:
    """The workshop's own images, in the registry: built there, or copied. Go with it when that is undone."""
    return OwnImagesStep(title)


def cluster(title: str, place: Place = "primary") -> Step:
    """A managed cluster; needs its network, its identity and the identity's role."""
    return ResourceStep("cluster", place, title, f"Delete the {place} cluster and all that is tagged beside it")


def role(title: str, place: Place = "primary", purpose: Purpose = "network") -> Step:
    """`network`: that place's identity may use its network. `pull`: its cluster may pull from the registry."""
    may = "identity use its network" if purpose == "network" else "nodes pull from the registry"
    return RoleStep(place, purpose, title, f"No longer let the {place}'s {may}")


def credentials(title: str, *places: Place) -> Step:
    """The clusters' contexts in the workshop's own kubeconfig, and the workshop's mark on the clusters."""
    return CredentialsStep(places or ("primary", "secondary"), title)


def clusters_of(labs: Iterable[Lab]) -> tuple[Place, ...]:
    """The places whose clusters these labs make."""
    return tuple(step.place for step in _resources_of(labs) if step.resource == "cluster")


def makes_registry(labs: Iterable[Lab]) -> bool:
    return any(step.resource == "registry" for step in _resources_of(labs))


def _resources_of(labs: Iterable[Lab]) -> Iterator[ResourceStep]:
    for part in (part for lab in labs for part in lab.parts):
        steps = part.steps if isinstance(part, Together) else (part,)
        yield from (step for step in steps if isinstance(step, ResourceStep))


class AzureStep(Step):
    def __init__(self, title: str, undo_title: str = "") -> None:
        self.title, self.undo_title = title, undo_title

    @abstractmethod
    def _work(self, run: Run) -> Work: ...

    async def check(self, run: Run) -> Check:
        return await self._work(run).check()

    async def apply(self, run: Run) -> None:
        await self._work(run).apply()

    async def settle(self, run: Run) -> None:
        await self._work(run).settle()

    async def check_undo(self, run: Run) -> Check:
        return await self._work(run).check_undo()

    async def undo(self, run: Run) -> None:
        await self._work(run).undo()

    def explain(self, run: Run) -> Explanation:
        return self._work(run).explain()

    def explain_undo(self, run: Run) -> Explanation:
        return self._work(run).explain_undo()


class ResourceStep(AzureStep):
    """A resource that is to be there, as the profile wants it."""

    def __init__(self, resource: ResourceName, place: Place, title: str, undo_title: str) -> None:
        super().__init__(title, undo_title)
        self.resource, self.place = resource, place

    def _work(self, run: Run) -> Work:
        from workshop.azure.step_work import resource_work

        return resource_work(run, self.resource, self.place)

    async def verify(self, run: Run) -> Verdict | None:
        return await self._work(run).verify()


class RoleStep(AzureStep):
    """A role of an identity on a resource."""

    def __init__(self, place: Place, purpose: Purpose, title: str, undo_title: str) -> None:
        super().__init__(title, undo_title)
        self._place, self._purpose = place, purpose

    def _work(self, run: Run) -> Work:
        from workshop.azure.step_work import RoleWork

        return RoleWork(run, self._place, self._purpose)


class ImagesStep(AzureStep):
    """Public images copied into the registry."""

    def _work(self, run: Run) -> Work:
        from workshop.azure.step_work import ImagesWork

        return ImagesWork(run)


class OwnImagesStep(AzureStep):
    """Images of the workshop's own in the registry."""

    def _work(self, run: Run) -> Work:
        from workshop.azure.step_work import OwnImagesWork

        return OwnImagesWork(run)


class CredentialsStep(AzureStep):
    """The way into the clusters."""

    def __init__(self, places: tuple[Place, ...], title: str) -> None:
        super().__init__(title, "Remove the clusters' contexts from the workshop's kubeconfig")
        self._places = places

    def _work(self, run: Run) -> Work:
        from workshop.azure.step_work import CredentialsWork

        return CredentialsWork(run, self._places)

    async def verify(self, run: Run) -> Verdict | None:
        return await self._work(run).verify()

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await self._work(run).look_at()
