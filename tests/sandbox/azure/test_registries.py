"""Container registries."""

from __future__ import annotations

from typing import Any

import pytest

from .world import LOCATION, Arm, refused

SKU = {"name": "Standard"}
CHECK = "Microsoft.ContainerRegistry/registries"


def body(**properties: Any) -> dict[str, Any]:
    return {"location": LOCATION, "sku": SKU, "properties": {"adminUserEnabled": False, **properties}}


def test_a_life(arm: Arm, group: str) -> None:
    registries = arm.registries.registries
    arm.set(durations={"registries": 0.1})
    poller = registries.begin_create(group, "lifeofone", body(roleAssignmentMode="LegacyRegistryPermissions"))
    assert registries.get(group, "lifeofone").properties.provisioning_state == "Creating"
    made = poller.result()
    assert made.properties.provisioning_state == "Succeeded"
    assert made.properties.login_server == "lifeofone.azurecr.io"
    assert made.properties.role_assignment_mode == "LegacyRegistryPermissions"
    wanted = {**body(), "sku": {"name": "Premium"}, "tags": {"a": "b"}}
    changed = registries.begin_create(group, "lifeofone", wanted).result()
    assert (changed.sku.tier, changed.tags, changed.location) == ("Premium", {"a": "b"}, LOCATION)
    assert changed.properties.creation_date == made.properties.creation_date
    assert "lifeofone" in [each.name for each in registries.list()]
    registries.begin_delete(group, "lifeofone").result()
    assert "lifeofone" not in [each.name for each in registries.list()]


def test_a_name_is_of_the_whole_world(arm: Arm, group: str) -> None:
    arm.set(taken_names=["somebodys"])
    registries = arm.registries.registries

    def available(name: str) -> tuple[Any, ...]:
        said = registries.check_name_availability({"name": name, "type": CHECK})
        return said.name_available, said.reason

    assert available("freeone") == (True, None)
    assert available("Somebodys") == (False, "AlreadyExists")
    assert available("a-b") == (False, "Invalid")
    error = refused(lambda: registries.begin_create(group, "somebodys", body()))
    assert (error.status_code, error.error.code) == (409, "AlreadyInUse")
    registries.begin_create(group, "freeone", body()).result()
    assert available("freeone") == (False, "AlreadyExists")
    assert refused(lambda: registries.begin_create(group, "abc", body())).error.code == "InvalidResourceName"


def test_images_are_imported_once(arm: Arm, group: str) -> None:
    registries = arm.registries.registries
    registries.begin_create(group, "importer", body()).result()
    image = {
        "source": {"registryUri": "docker.io", "sourceImage": "istio/examples-helloworld-v1:1.0"},
        "targetTags": ["helloworld:v1"],
        "mode": "NoForce",
    }
    registries.begin_import_image(group, "importer", image).result()
    error = refused(lambda: registries.begin_import_image(group, "importer", image))
    assert (error.status_code, error.error.code) == (409, "Conflict")
    registries.begin_import_image(group, "importer", {**image, "mode": "Force"}).result()
    wrong = {"source": {"registryUri": "docker.io", "sourceImage": "no tag"}}
    assert refused(lambda: registries.begin_import_image(group, "importer", wrong)).status_code == 400


@pytest.mark.parametrize(
    "wanted",
    [
        body(adminUserEnabled=True),
        body(encryption={"status": "enabled"}),
        {**body(), "sku": {"name": "Huge"}},
        {"location": LOCATION},
    ],
)
def test_what_nothing_acts_on_is_refused(arm: Arm, group: str, wanted: dict[str, Any]) -> None:
    error = refused(lambda: arm.registries.registries.begin_create(group, "refused", wanted))
    assert (error.status_code, error.error.code) == (400, "InvalidRequestContent")
