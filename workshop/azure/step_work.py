"""What the steps of azure_steps.py do, each for the run it is in."""

from __future__ import annotations

import asyncio
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from workshop.azure import orphans, own_kubeconfig, preflight
from workshop.azure.cluster import Cluster
from workshop.azure.connection import Azure, Object, Place, as_error, gather
from workshop.azure.cost import paid_since
from workshop.azure.faults import TasksNotAllowed
from workshop.azure.group import Group
from workshop.azure.identity import Identity
from workshop.azure.image_builds import ImageBuilds
from workshop.azure.live_resources import GroupContents, live_resource, live_role
from workshop.azure.network import Network
from workshop.azure.operations import NEEDED, Change, Operations
from workshop.azure.registry import (
    IMAGES_TAG,
    OWN_IMAGES_TAG,
    Build,
    FilledRegistry,
    Got,
    Image,
    ImportedRegistry,
    Registry,
    digest_of,
)
from workshop.azure.resource import Resource
from workshop.azure.role import Purpose, Role
from workshop.kubernetes.cluster_guard import MARK, NAMESPACE, ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import PART_OF, WORKSHOP
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.journal import Journal
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Hint, Verdict

if TYPE_CHECKING:
    from workshop.runbook.run import Run

_IMPORTS_AT_ONCE = 4
"""ACR throttles imports of one registry."""


@dataclass(frozen=True)
class Work(ABC):
    """See `Step` for what each is to do."""

    run: Run

    @property
    def azure(self) -> Azure:
        return self.run.use(Azure)

    @abstractmethod
    async def check(self) -> Check: ...

    @abstractmethod
    async def apply(self) -> None: ...

    async def verify(self) -> Verdict | None:
        return None

    async def look_at(self) -> tuple[Hint, ...]:
        return ()

    async def settle(self) -> None:
        return

    async def check_undo(self) -> Check:
        return Check()

    async def undo(self) -> None:
        return

    @abstractmethod
    def explain(self) -> Explanation: ...

    def explain_undo(self) -> Explanation:
        return Explanation()

    def _over(self, resource: Resource) -> None:
        """It is as it should be: an operation that an earlier run was killed in has ended since."""
        journal = self.run.use(Journal)
        if journal.operation(resource.id):
            journal.end(resource.id, succeeded=False)


@dataclass(frozen=True)
class ResourceWork(Work):
    """A resource that is to be there, as the profile wants it."""

    resource: Resource

    async def check(self) -> Check:
        live = await live_resource(self.run, self.resource)
        found = self.resource.differences(live)
        if not found:
            return Check()
        if live is not None:
            self.resource.refuse_foreign(live)
            await preflight.refuse_unknown(self.run, self.resource, found)
            self.resource.refuse_immutable(found, self.run.program, self.run.lab)
        return Check(found, await preflight.refuse(self.run, self.resource, live, found))

    async def apply(self) -> None:
        await Operations(self.run).converge(self.resource)

    async def verify(self) -> Verdict | None:
        """Shows what came of it; shared with the next step's check."""
        live = await live_resource(self.run, self.resource)
        if found := self.resource.differences(live):
            subject = found[0].path or self.resource.title
            return Verdict("fail", f"{subject} is {found[0].found!r}, although Azure said it succeeded")
        return Verdict("pass", self.resource.in_words(live or {}))

    async def settle(self) -> None:
        self._over(self.resource)

    async def check_undo(self) -> Check:
        live = await live_resource(self.run, self.resource)
        if live is None:
            return Check()
        if not self.resource.is_ours(live):
            return Check(note=f"{self.resource.title} does not carry the workshop's tag: it stays")
        note = await paid_since(self.run, self.resource, live) if self.resource.costs else ""
        return Check((Difference(self.resource.title, "", ABSENT, "present", note),))

    async def undo(self) -> None:
        await Operations(self.run).remove(self.resource)

    def explain(self) -> Explanation:
        namespace = self.resource.namespace
        register = f"az provider register --namespace {namespace} --wait --subscription {self.azure.subscription}"
        text: str = yaml.safe_dump(self.resource.wanted(), sort_keys=False, width=100)
        return Explanation(text, (*((register,) if namespace in NEEDED else ()), *self.resource.commands))

    def explain_undo(self) -> Explanation:
        return Explanation(commands=self.resource.remove_commands)


class ClusterWork(ResourceWork):
    """Undone with all else in its group that carries the workshop's tag and that no step names, such as a cluster
    made under another profile: that would keep the network in use, and cost money."""

    async def settle(self) -> None:
        await super().settle()
        await orphans.settle(self.run, self.resource.place)

    async def check_undo(self) -> Check:
        check = await super().check_undo()
        orphaned = await orphans.differences(self.run, self.resource.place)
        return Check((*check.differences, *orphaned), check.note)

    async def undo(self) -> None:
        there = (await super().check_undo()).differences
        await orphans.remove(self.run, self.resource.place, self.resource if there else None)

    def explain_undo(self) -> Explanation:
        commands = orphans.remove_commands(self.azure, self.resource.place)
        return Explanation(commands=(*self.resource.remove_commands, *commands))


class GroupWork(ResourceWork):
    async def check_undo(self) -> Check:
        check = await super().check_undo()
        if check.converged:
            return check
        members = await self.run.observe(GroupContents(self.resource.id))
        foreign = [f"{member.type} {member.name}" for member in members if not member.ours]
        if foreign:
            some = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
            return Check(note=f"{self.resource.title} stays: it holds what is not the workshop's ({some})")
        return check

    async def undo(self) -> None:
        """Deleting a group deletes all that is in it, so it is looked at once more."""
        self.run.facts.forget()
        if not (await self.check_undo()).converged:
            await super().undo()


ResourceName = Literal["group", "network", "identity", "registry", "cluster"]

_RESOURCES: Mapping[ResourceName, type[Resource]] = {
    "group": Group,
    "network": Network,
    "identity": Identity,
    "registry": Registry,
    "cluster": Cluster,
}
_WORKS: Mapping[ResourceName, type[ResourceWork]] = {"group": GroupWork, "cluster": ClusterWork}


def resource_work(run: Run, name: ResourceName, place: Place) -> Work:
    return _WORKS.get(name, ResourceWork)(run, _RESOURCES[name](run.use(Azure), place))


@dataclass(frozen=True)
class RoleWork(Work):
    """A role of an identity on a resource. Which assignment that is follows from the identity found, so before
    there is one the check can only say that the role is missing."""

    place: Place
    purpose: Purpose

    async def check(self) -> Check:
        role, live = await self._find()
        found = role.differences(live) if live else (Difference(role.title, "", "present", ABSENT),)
        return Check(found, await preflight.refuse(self.run, role, live, found) if found else "")

    async def settle(self) -> None:
        if self.run.use(Journal).under_way():  # else the role need not be looked for
            role, _ = await self._find()
            self._over(role)

    async def apply(self) -> None:
        role, _ = await self._find()
        if not role.principal:
            raise WorkshopError(
                f"give the {role.title}",
                f"the {role.assignee.title} names no identity",
                cause="it is not there (any more), or is not ready yet",
                next_command=self.azure.advised(f"az resource show --ids {role.assignee.id}"),
            )
        await Operations(self.run).converge(role)

    async def check_undo(self) -> Check:
        role, live = await self._find()
        return Check((Difference(role.title, "", ABSENT, "present"),) if live is not None else ())

    async def undo(self) -> None:
        role, live = await self._find()
        if live is not None:
            await Operations(self.run).remove(role)

    def explain(self) -> Explanation:
        return Explanation(commands=Role(self.azure, self.place, self.purpose).commands)

    def explain_undo(self) -> Explanation:
        return Explanation(commands=Role(self.azure, self.place, self.purpose).remove_commands)

    async def _find(self) -> tuple[Role, Object | None]:
        return await live_role(self.run, self.place, self.purpose)


class ImagesWork(Work):
    """Public images copied into the registry: Azure fetches them itself, several at a time."""

    @property
    def registry(self) -> ImportedRegistry:
        return ImportedRegistry(self.azure)

    async def check(self) -> Check:
        registry, images = self.registry, self.azure.settings.import_images
        if not images:
            return Check(note="none asked for (azure.import_images)")
        live = await live_resource(self.run, registry)
        if ((live or {}).get("tags") or {}).get(IMAGES_TAG) == digest_of(images):
            return Check()
        return Check(tuple(Difference(f"image {image}", "", f"in {registry.name}", ABSENT) for image in images))

    async def apply(self) -> None:
        await _copy(self.run, self.registry, *map(Image, self.azure.settings.import_images))
        await Operations(self.run).converge(self.registry)

    def explain(self) -> Explanation:
        registry, sources = self.registry, self.azure.settings.import_images
        if not sources:
            return Explanation()
        imports = (_copying(registry, Image(source)) for source in sources)
        tag = f"{IMAGES_TAG}={digest_of(sources)}"
        written_down = f"az tag update --resource-id {registry.id} --operation Merge --tags {tag}"
        return Explanation(commands=(*imports, written_down))


async def _copy(run: Run, registry: Registry, *images: Image) -> None:
    """Azure fetches them itself, several at a time."""
    operations, slots = Operations(run), asyncio.Semaphore(_IMPORTS_AT_ONCE)

    async def copy(image: Image) -> None:
        def start(**options: Any) -> Any:
            client = registry.azure.registries()
            return client.registries.begin_import_image(registry.group, registry.name, image.body(), **options)

        async with slots:
            await operations.act(
                f"{registry.id}/{image.action}/{image.target}",
                f"import {image.source} into {registry.name}",
                Change("import", "image"),
                start,
                registry,
            )

    await gather(*map(copy, images))


def _copying(registry: Registry, image: Image) -> str:
    """For a shell."""
    return (
        f"az acr import --name {registry.name} --subscription {registry.azure.subscription} "
        f"--source {image.registry}/{image.repository} --image {image.target} --force"
    )


class OwnImagesWork(Work):
    """Images of the workshop's own in the registry: built there from their sources, or copies that stand in."""

    @property
    def registry(self) -> FilledRegistry:
        return FilledRegistry(self.azure)

    @property
    def copies(self) -> dict[str, Image]:
        """By target, what can stand in for it."""
        settings = self.azure.settings
        named = ((settings.own_targets[name], own.copy) for name, own in settings.own_images.items())
        return {target: Image(source, target) for target, source in named if source}

    @property
    def builds(self) -> tuple[Build, ...]:
        settings = self.azure.settings
        return tuple(Build(settings.own_targets[name], own.git) for name, own in settings.own_images.items())

    async def check(self) -> Check:
        settings, registry = self.azure.settings, self.registry
        if not settings.own_images:
            return Check(note="none asked for (azure.own_images)")
        got = registry.got_in(await live_resource(self.run, Registry(self.azure)))
        if got:
            instead = got == "imported" and settings.images == "auto"
            return Check(note="copies stand in for them: ACR Tasks were not allowed" if instead else "")
        return Check(
            tuple(
                Difference(f"image {build.target}", "", f"in {registry.name}, {self._how(build)}", ABSENT)
                for build in self.builds
            )
        )

    def _how(self, build: Build) -> str:
        copy = self.copies.get(build.target)
        copied, built = f"copied from {copy.source}" if copy else "", f"built from {build.git}"
        match self.azure.settings.images:
            case "import":
                return copied
            case "build":
                return built
        return f"{built}; {copied} where ACR Tasks are not allowed" if copied else built

    async def apply(self) -> None:
        got = await self._get()
        await Operations(self.run).converge(FilledRegistry(self.azure, got=got))

    async def _get(self) -> Got:
        way, copies = self.azure.settings.images, self.copies
        if way != "import":
            try:
                await ImageBuilds(self.run, self.registry).build(self.builds)
                return "built"
            except TasksNotAllowed as error:
                if way == "build" or len(copies) < len(self.builds):
                    error.next_command = f"INVOKE_AZURE_IMAGES=import {self.run.program} lab.{self.run.lab}"
                    raise
                text = f"ACR Tasks are not allowed here ({error.came_back}): copying what stands in for the images"
                self.run.emit(events.Told(self.run.lab, text))
        await _copy(self.run, self.registry, *copies.values())
        return "imported"

    def explain(self) -> Explanation:
        settings, registry = self.azure.settings, self.registry
        if not settings.own_images:
            return Explanation()
        commands = []
        for build in self.builds:
            copy = self.copies.get(build.target)
            copying = _copying(registry, copy) if copy else ""
            building = (
                f"az acr build --registry {registry.name} --subscription {registry.azure.subscription} "
                f"--image {build.target} --platform linux/amd64 {shlex.quote(build.git)}"
            )
            ways = {"build": (building,), "import": (copying,), "auto": (building, copying)}[settings.images]
            commands.append(" || ".join(filter(None, ways)))
        tag = f"{OWN_IMAGES_TAG}={registry.written('imported' if settings.images == 'import' else 'built')}"
        written_down = f"az tag update --resource-id {registry.id} --operation Merge --tags {tag}"
        return Explanation(commands=(*commands, written_down))


@dataclass(frozen=True)
class CredentialsWork(Work):
    """The way into the clusters: their contexts in the workshop's own kubeconfig.

    The file is written last, when the workshop's mark is on the clusters: a context in it is a cluster that labs
    may use. Each entry says which cluster it was fetched from, so a cluster made anew is noticed without asking
    Azure for its secrets again (which would be a POST). ~/.kube/config is never touched."""

    places: tuple[Place, ...]

    async def check(self) -> Check:
        path = self.azure.kubeconfig
        there, found = own_kubeconfig.read(path), []
        if there is None:
            found.append(Difference(_file(path), "", "a kubeconfig", "broken"))
        elif (mode := own_kubeconfig.mode(path)) != own_kubeconfig.MODE:
            found.append(Difference(_file(path), "mode", own_kubeconfig.MODE, mode))
        return Check((*found, *(await self._missing(there or {})).values()))

    async def _missing(self, there: Object) -> dict[Place, Difference]:
        """The places that the kubeconfig does not lead to."""
        found = {}
        for place in self.places:
            cluster = Cluster(self.azure, place)
            wanted = own_kubeconfig.origin_of(await live_resource(self.run, cluster))
            live = own_kubeconfig.origin_in(there, place)
            if live is None or live != wanted:
                missing = ABSENT if live is None else live
                found[place] = Difference(_subject(place), "", f"to {cluster.title}", missing)
        return found

    async def apply(self) -> None:
        """Fetches what is missing, and writes the whole file, which gives it its mode back."""
        missing = await self._missing(own_kubeconfig.read(self.azure.kubeconfig) or {})
        contents = await gather(*map(self._fetch, missing))
        await asyncio.to_thread(self._write, dict(zip(missing, contents, strict=True)))

    async def _fetch(self, place: Place) -> Object:
        """The cluster's kubeconfig as a mapping, once its mark is on the cluster."""
        cluster = Cluster(self.azure, place)
        with as_error(self.azure):
            content = await self.azure.call(f"get the credentials of the {cluster.title}", cluster.kubeconfig)
        live = await cluster.look()
        entry = own_kubeconfig.entry(place, content, own_kubeconfig.origin_of(live))
        with own_kubeconfig.temporary(self.azure.kubeconfig.parent, entry) as path:
            await ClusterGuard(self._kubectl(place, path), place, disposable=True).adopt()
        return entry

    def _write(self, entries: dict[Place, Object]) -> None:
        content = own_kubeconfig.read(self.azure.kubeconfig) or {}
        for place, entry in entries.items():
            content = own_kubeconfig.put(content, place, entry)
        own_kubeconfig.write(self.azure.kubeconfig, content)

    async def verify(self) -> Verdict | None:
        printed = await gather(
            *(self._kubectl(place, self.azure.kubeconfig).call("get", "nodes") for place in self.places)
        )
        for place, nodes in zip(self.places, printed, strict=True):
            self.run.emit(events.Told(self.run.lab, f"{place}\n{nodes.rstrip()}"))
        return None

    async def look_at(self) -> tuple[Hint, ...]:
        path = self.azure.kubeconfig
        typed = ((place, self._kubectl(place, path).typed("kubectl get nodes")) for place in self.places)
        return tuple(Hint("type", command, f"the nodes of {place}") for place, command in typed)

    async def check_undo(self) -> Check:
        path = self.azure.kubeconfig
        there = own_kubeconfig.read(path)
        if there is None:
            return Check((Difference(_file(path), "", ABSENT, "broken"),))
        found = [place for place in self.places if own_kubeconfig.has(there, place)]
        return Check(tuple(Difference(_subject(place), "", ABSENT, "present") for place in found))

    async def undo(self) -> None:
        path = self.azure.kubeconfig
        content = own_kubeconfig.read(path) or {}
        for place in self.places:
            content = own_kubeconfig.without(content, place)
        own_kubeconfig.write(path, content)

    def explain(self) -> Explanation:
        commands: list[str] = []
        path = shlex.quote(str(self.azure.kubeconfig))
        for place in self.places:
            cluster = Cluster(self.azure, place)
            kubectl = f"kubectl --kubeconfig={path} --context={place}"
            commands += [
                f"az aks get-credentials {cluster.where} --name {cluster.name} --context {place} --file {path}",
                *(f"{kubectl} {line}" for line in _MARKING),
                f"{kubectl} get nodes",
            ]
        return Explanation(commands=(*commands, f"chmod 600 {path}"))

    def explain_undo(self) -> Explanation:
        path = shlex.quote(str(self.azure.kubeconfig))
        return Explanation(
            commands=tuple(f"kubectl --kubeconfig={path} config delete-context {place}" for place in self.places)
        )

    def _kubectl(self, place: str, path: Path) -> Kubectl:
        return replace(Kubectl.of(self.run), kubeconfig=path, context=place, start_hint="")


_MARKING = (
    f"create namespace {NAMESPACE}",
    f"create configmap {MARK} --namespace {NAMESPACE} --from-literal=adopted-by=$USER "
    "--from-literal=adopted-at=$(date -u +%FT%TZ)",
    f"label namespace/{NAMESPACE} configmap/{MARK} --namespace {NAMESPACE} {PART_OF}={WORKSHOP}",
)
"""What ClusterGuard.adopt does, for kubectl."""


def _file(path: Path) -> str:
    return f"kubeconfig {path}"


def _subject(place: str) -> str:
    return f"context {place}"
