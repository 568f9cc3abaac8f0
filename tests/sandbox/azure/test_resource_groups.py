"""Resource groups and lists of what is in them."""

from __future__ import annotations

from datetime import UTC, datetime

from .world import LOCATION, Arm, refused

STORAGE = "Microsoft.Storage/storageAccounts"


def test_when_something_was_made(arm: Arm, group: str) -> None:
    """A registry says so itself; of a network only the list of what is in its group does, when it is asked."""
    before = datetime.now(UTC)
    network = arm.make_network(group)
    assert not hasattr(network, "system_data")
    body = {"location": LOCATION, "sku": {"name": "Basic"}}
    registry = arm.registries.registries.begin_create(group, "whenwasitmade", body).result()
    assert before < registry.system_data.created_at < datetime.now(UTC)
    listed = {
        each.name: each.created_time
        for each in arm.resources.resources.list_by_resource_group(group, expand="createdTime")
    }
    assert listed["whenwasitmade"] == registry.system_data.created_at
    assert before < listed["net"] < registry.system_data.created_at
    plain = list(arm.resources.resources.list_by_resource_group(group))
    assert not any(each.created_time for each in plain)
    error = refused(lambda: list(arm.resources.resources.list_by_resource_group(group, expand="tags")))
    assert error.error.code == "InvalidExpandInQueryString"


def test_a_life(arm: Arm) -> None:
    groups = arm.resources.resource_groups
    assert not groups.check_existence("life")
    assert refused(lambda: groups.get("life")).error.code == "ResourceGroupNotFound"
    made = groups.create_or_update("life", {"location": "West Europe", "tags": {"workshop": "w"}})
    assert (made.location, made.tags, made.properties.provisioning_state) == (
        LOCATION,
        {"workshop": "w"},
        "Succeeded",
    )
    assert groups.check_existence("LIFE")
    assert groups.create_or_update("life", {"location": LOCATION, "tags": {"a": "b"}}).tags == {"a": "b"}
    assert "life" in [each.name for each in groups.list()]
    groups.begin_delete("life").result()
    assert not groups.check_existence("life")


def test_a_group_stays_where_it_is(arm: Arm, group: str) -> None:
    groups = arm.resources.resource_groups
    error = refused(lambda: groups.create_or_update(group, {"location": "northeurope"}))
    assert (error.status_code, error.error.code) == (409, "InvalidResourceGroupLocation")
    assert groups.create_or_update(group, {"location": LOCATION}).tags == {}


def test_names_and_locations_are_checked(arm: Arm) -> None:
    groups = arm.resources.resource_groups
    assert refused(lambda: groups.create_or_update("a group", {"location": LOCATION})).status_code == 400
    error = refused(lambda: groups.create_or_update("nowhere", {"location": "atlantis"}))
    assert error.error.code == "LocationNotAvailableForResourceType"
    arm.set(denied_locations=["uksouth"])
    error = refused(lambda: groups.create_or_update("denied", {"location": "uksouth"}))
    assert (error.status_code, error.error.code) == (403, "RequestDisallowedByAzure")


def test_deleting_takes_what_is_in_it_along(arm: Arm, group: str) -> None:
    arm.make_network(group)
    identity = arm.make_identity(group)
    arm.set(durations={"virtualNetworks": 0.4})
    poller = arm.resources.resource_groups.begin_delete(group)
    assert arm.resources.resource_groups.get(group).properties.provisioning_state == "Deleting"
    error = refused(lambda: arm.make_identity(group, "late"))
    assert (error.status_code, error.error.code) == (409, "ResourceGroupBeingDeleted")
    poller.result()
    assert not arm.resources.resource_groups.check_existence(group)
    error = refused(lambda: arm.resources.resources.get_by_id(identity.id, api_version="2023-01-31"))
    assert error.error.code == "ResourceGroupNotFound"


def test_what_is_in_it_is_listed(arm: Arm, group: str) -> None:
    arm.make_network(group)
    arm.make_identity(group)
    resources = arm.resources.resources
    assert [each.name for each in resources.list_by_resource_group(group)] == ["net", "workers"]
    error = refused(lambda: list(resources.list_by_resource_group(group, filter="substringof('n', name)")))
    assert error.error.code == "InvalidFilterInQueryString"
    assert (
        refused(lambda: list(resources.list_by_resource_group(group, top=1))).error.code == "InvalidQueryParameter"
    )


def test_what_is_in_a_group_is_found_from_the_subscription(arm: Arm, group: str) -> None:
    """`az resource list -g GROUP` asks the subscription, and for when it was made, which is told with the rest."""
    arm.make_network(group)
    arm.make_identity(group)
    resources = arm.resources.resources

    def listed(asked: str) -> list[str]:
        return [each.name for each in resources.list(filter=asked)]

    assert listed(f"resourceGroup eq '{group.upper()}'") == ["net", "workers"]
    assert listed(f"resourceGroup eq '{group}' and resourceType eq 'microsoft.network/virtualnetworks'") == ["net"]
    assert listed(f"resourceGroup eq '{group}' and name eq 'workers'") == ["workers"]
    assert listed(f"resourceGroup eq '{group}' and tagName eq 'nobody'") == []
    assert listed("resourceGroup eq 'none'") == []
    expand = "createdTime,changedTime,provisioningState"
    (net, _) = resources.list_by_resource_group(group, expand=expand)
    assert (net.provisioning_state, net.changed_time >= net.created_time) == ("Succeeded", True)
    assert [each.name for each in arm.network.virtual_networks.list(group)] == ["net"]
    assert refused(lambda: list(arm.network.virtual_networks.list("none"))).error.code == "ResourceGroupNotFound"


def test_foreign_resources_are_there_and_can_only_be_read_and_deleted(arm: Arm, group: str) -> None:
    said = {"group": group, "type": STORAGE, "name": "theirs", "tags": {"owner": "them"}}
    arm.set(foreign=[said])
    resources = arm.resources.resources
    (found,) = resources.list_by_resource_group(group)
    assert (found.type, found.name, found.tags) == (STORAGE, "theirs", {"owner": "them"})
    assert resources.get_by_id(found.id, api_version="2025-01-01").name == "theirs"
    body = {"location": LOCATION}
    error = refused(lambda: resources.begin_create_or_update_by_id(found.id, body, api_version="2025-01-01"))
    assert error.status_code == 405
    arm.set(foreign=[])
    resources.begin_delete_by_id(found.id, api_version="2025-01-01").result()
    assert list(resources.list_by_resource_group(group)) == []
    assert refused(lambda: resources.get_by_id(found.id, api_version="2025-01-01")).status_code == 404


def test_foreign_resources_appear_with_their_group(arm: Arm) -> None:
    arm.set(foreign=[{"group": "to-come", "type": STORAGE, "name": "theirs"}])
    arm.resources.resource_groups.create_or_update("to-come", {"location": LOCATION})
    assert [each.name for each in arm.resources.resources.list_by_resource_group("to-come")] == ["theirs"]
    arm.resources.resource_groups.begin_delete("to-come").result()
