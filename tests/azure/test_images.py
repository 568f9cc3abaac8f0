"""Public images copied into the registry, once."""

from __future__ import annotations

import msgspec
import pytest

from tests.azure.world import Arm, Session
from workshop.azure.registry import Image

IMAGES = ("docker.io/istio/examples-bookinfo-ratings-v1:1.20.3", "docker.io/kennethreitz/httpbin:latest")


@pytest.mark.parametrize(
    ("source", "registry", "repository", "target"),
    [
        ("docker.io/istio/pilot:1.31.1", "docker.io", "istio/pilot:1.31.1", "istio/pilot:1.31.1"),
        ("nginx", "docker.io", "library/nginx:latest", "nginx:latest"),
        ("mcr.microsoft.com/a/b:1", "mcr.microsoft.com", "a/b:1", "a/b:1"),
        ("localhost:5000/a", "localhost:5000", "a:latest", "a:latest"),
        ("ghcr.io/a/b@sha256:0123456789abcdef", "ghcr.io", "a/b@sha256:0123456789abcdef", "a/b:0123456789ab"),
    ],
)
def test_an_image_is_read_as_docker_does(source: str, registry: str, repository: str, target: str) -> None:
    image = Image(source)
    assert (image.registry, image.repository, image.target) == (registry, repository, target)


async def test_images_are_imported_once_and_again_when_the_list_changes(arm: Arm, session: Session) -> None:
    session.settings = msgspec.structs.replace(session.settings, import_images=IMAGES)
    await session.converge("azure.acr")
    imports = [each for each in arm.sent("POST") if each.endswith("/importImage")]
    assert len(imports) == 2
    arm.clear()
    assert set(await session.converge("azure.acr")) == {"unchanged"}
    assert {each["method"] for each in arm.requests()} == {"GET"}
    session.settings = msgspec.structs.replace(session.settings, import_images=IMAGES[:1])
    await session.converge("azure.acr")
    assert len(arm.sent("POST")) == 1


async def test_a_failed_import_is_told_and_tried_again_by_the_next_run(arm: Arm, session: Session) -> None:
    session.settings = msgspec.structs.replace(session.settings, import_images=IMAGES[:1])
    body = {"error": {"code": "InvalidParameters", "message": "Source image was not found"}}
    arm.set(faults=[{"method": "POST", "path": "importImage", "status": 400, "body": body}])
    assert await session.run("azure.acr") == 1
    assert "Source image was not found" in str(session.errors[0])
    await session.converge("azure.acr")
