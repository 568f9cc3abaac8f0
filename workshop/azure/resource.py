"""What all kinds of Azure resources have in common: an id, what is wanted, who owns it, how it is made and removed.

A kind is a small frozen class in a module of its own (group.py, network.py, ...). It says what it wants as the JSON
that Azure takes and calls the kind's SDK client; operations.py converges it, compare.py compares it.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from workshop.azure.compare import Object, differences
from workshop.runbook.errors import UsageError
from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop import settings
    from workshop.azure.connection import Azure

TAG = "workshop"
Place = Literal["primary", "secondary"]

_OVER = ("Succeeded", "Failed", "Canceled")


@dataclass(frozen=True)
class Resource(ABC):
    """`namespace` is its provider, `usual` how many seconds making one takes at Azure (until the journal knows
    better), `limit` how many it may take, `fixed` the paths (or their beginnings) that cannot be changed in place.
    """

    azure: Azure
    place: Place = "primary"

    namespace: ClassVar[str]
    usual: ClassVar[float] = 5.0
    limit: ClassVar[float] = 900.0
    fixed: ClassVar[tuple[str, ...]] = ("location",)
    costs: ClassVar[bool] = False
    """Whether it is paid for by the hour, be it used or not."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """In words."""

    @property
    @abstractmethod
    def api_version(self) -> str: ...

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def id(self) -> str: ...

    async def look(self) -> Object | None:
        """As it is; None when it is not there."""
        return await self.azure.get(self.id, self.api_version)

    @abstractmethod
    def wanted(self) -> Object: ...

    def put(self, body: Any, **options: Any) -> Any:
        """Make or change it, in a thread. The SDK's poller, or None for what is done at once. Through the generic
        client, unless the kind has one of its own."""
        resources = self.azure.resources().resources
        return resources.begin_create_or_update_by_id(self.id, body, api_version=self.api_version, **options)

    def remove(self, **options: Any) -> Any:
        """As `put`."""
        resources = self.azure.resources().resources
        return resources.begin_delete_by_id(self.id, api_version=self.api_version, **options)

    @property
    @abstractmethod
    def commands(self) -> tuple[str, ...]:
        """What a person would type to make it."""

    @property
    def remove_commands(self) -> tuple[str, ...]:
        return (f"az resource delete --ids {self.id}",)

    def discard_command(self, program: str, lab: str) -> str:
        """What is advised for one that has to be made anew: it must remove nothing that is not the workshop's.
        `program` is how Invoke was called, with its profile, `lab` whose step makes it. In the sandbox that lab
        removes it: `az` would do it at the real Azure."""
        return f"{program} lab.{lab} --undo" if self.azure.free else self.remove_commands[0]

    @property
    def settings(self) -> settings.Azure:
        return self.azure.settings

    @property
    def group(self) -> str:
        return (self.settings.primary if self.place == "primary" else self.settings.secondary).group

    @property
    def where(self) -> str:
        """For Azure's own commands: the subscription, lest they work on the one that is current there."""
        return f"--resource-group {self.group} --subscription {self.azure.subscription}"

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.azure.subscription}/resourceGroups/{self.group}"

    @property
    def title(self) -> str:
        """For people: "virtual network mesh-workshop/aks-vnet"."""
        return f"{self.kind} {self.group}/{self.name}"

    def seen(self, live: Object) -> str:
        """What is worth knowing of one that is there."""
        return f"{self.title} is there"

    @property
    def tag_typed(self) -> str:
        """For a shell: a value may have blanks."""
        return shlex.quote(f"{TAG}={self.settings.tag}")

    @property
    def tags(self) -> dict[str, str]:
        return {TAG: self.settings.tag}

    def differences(self, live: Object | None) -> tuple[Difference, ...]:
        """Also of one that is not ready yet; one that is being deleted is as good as gone. Nothing decides here
        whether it may be changed."""
        state = state_of(live)
        if state == "Deleting":
            live = None
        found = differences(self.title, self.wanted(), live)
        if live is not None and state != "Succeeded":
            found += (Difference(self.title, "properties.provisioningState", "Succeeded", state),)
        return found

    def refuse_foreign(self, live: Object) -> None:
        """Raises UsageError for a resource of that name that nobody has marked as the workshop's."""
        if not self.is_tagged(live):
            raise UsageError(
                f"change the {self.title}",
                f"it is there, and has no tag `{TAG}`",
                cause="somebody else made it: choose another name in the profile, or give it the tag if the "
                "workshop may change it and the clean-up delete it",
                next_command=self.azure.advised(
                    f"az tag update --resource-id {self.id} --operation Merge --tags {self.tag_typed}"
                ),
            )

    def refuse_fixed(self, found: tuple[Difference, ...], program: str, lab: str) -> None:
        """Raises UsageError for a difference that only making it anew would remove. `program` and `lab`:
        see `discard_command`."""
        for difference in found:
            if difference.found is not ABSENT and self.is_fixed(difference):
                raise UsageError(
                    f"change {difference.path} of the {self.title}",
                    f"it is {difference.found!r}, wanted is {difference.wanted!r}: Azure cannot change it in place",
                    cause="the profile was changed after it was made. Set it back, or delete it and run this "
                    "again: the workshop never makes anything anew by itself",
                    next_command=self.discard_command(program, lab),
                )

    def is_fixed(self, difference: Difference) -> bool:
        plain = difference.path.partition("[")[0] + difference.path.partition("]")[2]
        return plain.startswith(self.fixed)

    def is_tagged(self, live: Object) -> bool:
        return TAG in (live.get("tags") or {})

    def is_ours(self, live: Object | None) -> bool:
        """Whether the clean-up may delete it: it carries this very workshop's tag."""
        return live is not None and (live.get("tags") or {}).get(TAG) == self.settings.tag


def state_of(live: Object | None) -> str:
    """The provisioning state; kinds that have none are done when they are there."""
    if live is None:
        return ""
    properties = live.get("properties") or {}
    return str(properties.get("provisioningState") or "Succeeded")


def is_busy(live: Object | None) -> bool:
    return live is not None and state_of(live) not in _OVER
