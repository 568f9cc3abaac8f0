"""All that a cloud has as one JSON value, and put into a new one. How it behaves (the settings) is no part of it.

What is under way cannot be told: whoever waits for it has the operation's id, and would never hear of it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sandbox.arm.cloud import Cloud, Group, Resource, Stack
from sandbox.arm.managed_clusters import node_pool
from sandbox.arm.protocol import ArmError, Body
from sandbox.core.node_pool import NodePool


@dataclass(frozen=True, slots=True)
class CloudState:
    """`images` are those of registries, `stacks` what managed clusters lead to: by ids in lower case."""

    cloud: Cloud
    images: dict[str, set[str]]
    stacks: dict[str, Stack]

    def tell(self) -> Body:
        """Raises ArmError while something is under way. What is told is the cloud's own: not to be kept."""
        cloud = self.cloud
        if cloud.operations.idle_seconds == 0.0:
            busy = [f"{each.name} ({each.operation.doing})" for each in cloud.resources.values() if each.operation]
            busy += [f"{group.name} (Deleting)" for group in cloud.groups.values() if group.deleting]
            at_work = ", ".join(busy) or "importing or building an image"
            message = f"Azure is at work ({at_work}): save when that has ended."
            raise ArmError(409, "AnotherOperationInProgress", message)
        return {
            "groups": [
                {"name": each.name, "location": each.location, "tags": each.tags, "managedBy": each.managed_by}
                for each in cloud.groups.values()
            ],
            "resources": [
                {
                    "id": each.id,
                    "type": each.type,
                    "group": each.group,
                    "body": each.body,
                    "created": each.created.isoformat(),
                    "changed": each.changed.isoformat(),
                }
                for each in cloud.resources.values()
            ],
            "assignments": cloud.assignments,
            "registered": dict(cloud.registered),
            "principals": sorted(cloud.principals),
            "images": {id_: sorted(images) for id_, images in self.images.items()},
        }

    def put_back(self, told: Body) -> None:
        """Into an empty cloud; the stacks are for somebody else."""
        cloud = self.cloud
        for each in told["groups"]:
            group = Group(each["name"], each["location"], each["tags"], each["managedBy"])
            cloud.groups[group.name.lower()] = group
        for each in told["resources"]:
            created = datetime.fromisoformat(each["created"])
            changed = datetime.fromisoformat(each.get("changed", each["created"]))
            cloud.resources[each["id"].lower()] = Resource(
                each["id"], each["type"], each["group"], each["body"], created, changed
            )
        cloud.assignments.update(told["assignments"])
        for namespace, state in told["registered"].items():
            cloud.set_registration(namespace, state)
        for principal in told["principals"]:
            cloud.add_principal(principal)
        self.images.update({id_: set(images) for id_, images in told["images"].items()})

    def pool(self, id_: str) -> NodePool:
        """The nodes of a managed cluster that has been put back."""
        (pool,) = self.cloud.resources[id_].properties["agentPoolProfiles"]
        return node_pool(pool)
