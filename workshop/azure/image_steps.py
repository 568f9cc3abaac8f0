"""Public images copied into the registry: Azure fetches them itself, several at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT, Check, Difference, Explanation

if TYPE_CHECKING:
    from workshop.azure.connection import Azure
    from workshop.azure.registry import Image, ImportedRegistry
    from workshop.runbook.run import Run

_AT_ONCE = 4
"""ACR throttles imports of one registry."""


class ImportImages(Step):
    """Goes with the registry when it is undone, so it undoes nothing itself."""

    def __init__(self, title: str) -> None:
        self.title = title

    async def check(self, run: Run) -> Check:
        from workshop.azure.registry import IMAGES_TAG, digest_of
        from workshop.azure.steps import find

        registry, images = _registry(run), _azure(run).settings.import_images
        if not images:
            return Check(note="none asked for (azure.import_images)")
        live = await find(run, registry)
        if ((live or {}).get("tags") or {}).get(IMAGES_TAG) == digest_of(images):
            return Check()
        return Check(tuple(Difference(f"image {image}", "", f"in {registry.name}", ABSENT) for image in images))

    async def apply(self, run: Run) -> None:
        import asyncio

        from workshop.azure.connection import together
        from workshop.azure.operations import Operations
        from workshop.azure.registry import Image

        operations, registry, slots = Operations(run), _registry(run), asyncio.Semaphore(_AT_ONCE)

        async def copy(image: Image) -> None:
            def start(**options: Any) -> Any:
                client = registry.azure.registries()
                return client.registries.begin_import_image(registry.group, registry.name, image.body(), **options)

            async with slots:
                await operations.act(
                    f"{registry.id}/{image.action}/{image.target}",
                    f"import {image.source} into {registry.name}",
                    "import image",
                    start,
                    registry,
                )

        await together(*(copy(Image(source)) for source in _azure(run).settings.import_images))
        await operations.converge(registry)

    def explain(self, run: Run) -> Explanation:
        from workshop.azure.registry import IMAGES_TAG, Image, digest_of

        registry, sources = _registry(run), _azure(run).settings.import_images
        if not sources:
            return Explanation()
        imports = (
            f"az acr import --name {registry.name} --subscription {registry.azure.subscription} "
            f"--source {image.registry}/{image.repository} "
            f"--image {image.target} --force"
            for image in map(Image, sources)
        )
        tag = f"{IMAGES_TAG}={digest_of(sources)}"
        written_down = f"az tag update --resource-id {registry.id} --operation Merge --tags {tag}"
        return Explanation(commands=(*imports, written_down))


def _registry(run: Run) -> ImportedRegistry:
    from workshop.azure.registry import ImportedRegistry

    return ImportedRegistry(_azure(run))


def _azure(run: Run) -> Azure:
    from workshop.azure.connection import Azure

    return run.use(Azure)
