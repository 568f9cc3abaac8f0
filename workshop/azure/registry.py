"""A container registry for both clusters, copies of public images in it, and images of the workshop's own.

`roleAssignmentMode` is said because new registries may default to roles per repository, which ignore AcrPull. Which
images are in a registry is known only to its data plane, behind a login of its own; what was imported, and what was
built, is therefore written on the registry as a tag each, a digest of the list, once all of it is there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from workshop.azure.connection import Object
from workshop.azure.resource import Resource

IMAGES_TAG = "workshop-images"
OWN_IMAGES_TAG = "workshop-own-images"

BUILD_LIMIT = 3600
"""Seconds that a build may take: Azure ends it then."""


@dataclass(frozen=True)
class Registry(Resource):
    kind = "registry"
    namespace = "Microsoft.ContainerRegistry"
    api_version = "2025-11-01"
    usual = 15.0
    costs = True

    @property
    def name(self) -> str:
        return self.settings.registry_in(self.azure.subscription)

    @property
    def id(self) -> str:
        return f"{self.group_id}/providers/Microsoft.ContainerRegistry/registries/{self.name}"

    def wanted(self) -> Object:
        return {
            "location": self.settings.location,
            "tags": self.tags,
            "sku": {"name": "Standard"},
            "properties": {"adminUserEnabled": False, "roleAssignmentMode": "LegacyRegistryPermissions"},
        }

    def in_words(self, live: Object) -> str:
        return f"login server {(live.get('properties') or {}).get('loginServer', '')}"

    def put(self, body: Any, **options: Any) -> Any:
        return self.azure.registries().registries.begin_create(self.group, self.name, body, **options)

    def remove(self, **options: Any) -> Any:
        return self.azure.registries().registries.begin_delete(self.group, self.name, **options)

    @property
    def commands(self) -> tuple[str, ...]:
        return (
            f"az acr create {self.where} --name {self.name} --sku Standard --admin-enabled false "
            f"--role-assignment-mode rbac --location {self.settings.location} --tags {self.tag_typed}",
        )

    @property
    def remove_commands(self) -> tuple[str, ...]:
        return (f"az acr delete {self.where} --name {self.name}",)


@dataclass(frozen=True)
class ImportedRegistry(Registry):
    """The registry once all images are in it: what the step that imports them wants."""

    def wanted(self) -> Object:
        return {"tags": {IMAGES_TAG: digest_of(self.settings.import_images)}}


Got = Literal["built", "imported"]
"""How a registry came by the workshop's own images."""


@dataclass(frozen=True)
class FilledRegistry(Registry):
    """The registry once it has the workshop's own images: what the step that builds them wants."""

    got: Got = "built"

    def wanted(self) -> Object:
        return {"tags": {OWN_IMAGES_TAG: self.written(self.got)}}

    def written(self, got: Got) -> str:
        return f"{got}-{digest_of(tuple(self.settings.own_targets.values()))}"

    def got_in(self, live: Object | None) -> Got | None:
        """How it came by those that are asked for; None when it has not (all of) them."""
        said = ((live or {}).get("tags") or {}).get(OWN_IMAGES_TAG)
        ways: tuple[Got, ...] = ("built", "imported")
        return next((got for got in ways if said == self.written(got)), None)


@dataclass(frozen=True)
class Build:
    """An image of the workshop's own, as what ACR Tasks are asked for."""

    target: str
    git: str

    def body(self) -> Object:
        return {
            "type": "DockerBuildRequest",
            "sourceLocation": self.git,
            "dockerFilePath": "Dockerfile",
            "imageNames": [self.target],
            "isPushEnabled": True,
            "platform": {"os": "Linux", "architecture": "amd64"},
            "timeout": BUILD_LIMIT,
        }


@dataclass(frozen=True)
class Image:
    """ "docker.io/istio/examples-bookinfo-ratings-v1:1.20.3" as what an import is asked for; it keeps its name
    unless it is to stand in for another one."""

    source: str
    stands_for: str = ""
    action: ClassVar[str] = "importImage"

    @property
    def registry(self) -> str:
        first, slash, _ = self.source.partition("/")
        return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"

    @property
    def repository(self) -> str:
        """With its tag, as its registry knows it."""
        path = self.source.removeprefix(f"{self.registry}/")
        if ":" not in path.rpartition("/")[2] and "@" not in path:
            path = f"{path}:latest"
        return f"library/{path}" if self.registry == "docker.io" and "/" not in path else path

    @property
    def target(self) -> str:
        """Under the same name in ours; a digest names no tag there."""
        path, at, digest = self.repository.removeprefix("library/").partition("@")
        if self.stands_for:
            return self.stands_for
        return f"{path}:{digest.partition(':')[2][:12]}" if at and ":" not in path else path

    def body(self) -> Object:
        return {
            "source": {"registryUri": self.registry, "sourceImage": self.repository},
            "targetTags": [self.target],
            "mode": "Force",
        }


def digest_of(images: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()[:16]
