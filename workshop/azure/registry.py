"""A container registry for both clusters, and copies of public images in it.

`roleAssignmentMode` is said because new registries may default to roles per repository, which ignore AcrPull. Which
images are in a registry is known only to its data plane, behind a login of its own; what was imported is therefore
written on the registry as a tag, a digest of the list, once all of it is there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

from workshop.azure.connection import Object
from workshop.azure.resource import Resource

IMAGES_TAG = "workshop-images"


@dataclass(frozen=True)
class Registry(Resource):
    kind = "registry"
    namespace = "Microsoft.ContainerRegistry"
    api_version = "2025-11-01"
    usual = 15.0
    costs = True

    @property
    def name(self) -> str:
        derived = hashlib.sha256(self.azure.subscription.lower().encode()).hexdigest()[:8]
        return self.settings.registry or f"workshop{derived}"

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


@dataclass(frozen=True)
class Image:
    """ "docker.io/istio/examples-bookinfo-ratings-v1:1.20.3" as what an import is asked for."""

    source: str
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
        return f"{path}:{digest.partition(':')[2][:12]}" if at and ":" not in path else path

    def body(self) -> Object:
        return {
            "source": {"registryUri": self.registry, "sourceImage": self.repository},
            "targetTags": [self.target],
            "mode": "Force",
        }


def digest_of(images: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()[:16]
