"""What all kinds of Azure resources have in common: an id, what is wanted, who owns it, how it is made and removed;
and whether what is wanted is contained in what is there.

A kind is a small frozen class in a module of its own (group.py, network.py, ...). It says what it wants as the JSON
that Azure takes and calls the kind's SDK client; operations.py converges it.

It is compared property by property. Azure fills in defaults and read-only properties, so a live resource says more
than was asked for. Its ids mean the same in any case and come back in other cases than they were sent; members of
lists are known by their name.
"""

from __future__ import annotations

import copy
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from workshop.azure.connection import Azure, Object, Place
from workshop.runbook.errors import UsageError
from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop.settings import AzureSettings

_READ_ONLY: Mapping[str, tuple[str, ...]] = {
    "": ("id", "name", "type", "systemData", "etag", "eTag", "managedBy"),
    "identity": ("principalId", "tenantId"),
    "identity.userAssignedIdentities.*": ("principalId", "clientId"),
    "properties": (
        "provisioningState",
        "powerState",
        "resourceGuid",
        "resourceUID",
        "fqdn",
        "privateFQDN",
        "azurePortalFQDN",
        "currentKubernetesVersion",
        "maxAgentPools",
        "identityProfile",
        "creationDate",
        "loginServer",
        "status",
        "privateEndpointConnections",
        "principalId",
        "clientId",
        "tenantId",
    ),
    "properties.addonProfiles.*": ("identity",),
    "properties.agentPoolProfiles": (
        "provisioningState",
        "powerState",
        "currentOrchestratorVersion",
        "nodeImageVersion",
        "eTag",
        "status",
    ),
    "properties.httpProxyConfig": ("effectiveNoProxyDomains",),
    "properties.networkProfile.loadBalancerProfile": ("effectiveOutboundIPs",),
    "properties.networkProfile.natGatewayProfile": ("effectiveOutboundIPs",),
    "properties.subnets": ("etag",),
    "properties.subnets.properties": ("provisioningState", "ipConfigurations"),
}
"""What Azure only tells, by where it is: elsewhere the same names may be a person's, as in tags, or have to be
sent, as the client id of a cluster's service principal. `*` is any name; members of lists have none."""
_VERSION = re.compile(r"\d+\.\d+")

TAG = "workshop"

_OVER = ("Succeeded", "Failed", "Canceled")


@dataclass(frozen=True)
class Resource(ABC):
    """`namespace` is its provider, `usual` how many seconds making one takes at Azure (until the journal knows
    better), `limit` how many it may take, `immutable` the paths (or their beginnings) that Azure cannot change.
    """

    azure: Azure
    place: Place = "primary"

    namespace: ClassVar[str]
    usual: ClassVar[float] = 5.0
    limit: ClassVar[float] = 900.0
    immutable: ClassVar[tuple[str, ...]] = ("location",)
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
    def settings(self) -> AzureSettings:
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

    def in_words(self, live: Object) -> str:
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

    def refuse_immutable(self, found: tuple[Difference, ...], program: str, lab: str) -> None:
        """Raises UsageError for a difference that only making it anew would remove. `program` and `lab`:
        see `discard_command`."""
        for difference in found:
            if difference.found is not ABSENT and self.is_immutable(difference):
                raise UsageError(
                    f"change {difference.path} of the {self.title}",
                    f"it is {difference.found!r}, wanted is {difference.wanted!r}: Azure cannot change it in place",
                    cause="the profile was changed after it was made. Set it back, or delete it and run this "
                    "again: the workshop never makes anything anew by itself",
                    next_command=self.discard_command(program, lab),
                )

    def is_immutable(self, difference: Difference) -> bool:
        plain = difference.path.partition("[")[0] + difference.path.partition("]")[2]
        return plain.startswith(self.immutable)

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


# Comparing.


def differences(subject: str, wanted: Object, live: Object | None) -> tuple[Difference, ...]:
    """What of `wanted` is not in `live`."""
    if live is None:
        return (Difference(subject, "", "present", ABSENT),)
    return tuple(_differences(subject, "", wanted, live))


def _differences(subject: str, path: str, wanted: Any, live: Any) -> Iterable[Difference]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        there = {key.lower(): value for key, value in live.items()}
        for key, value in wanted.items():
            yield from _differences(
                subject, f"{path}.{key}" if path else key, value, there.get(key.lower(), ABSENT)
            )
    elif isinstance(wanted, list) and isinstance(live, list) and _named(wanted) and _named(live):
        by_name = {member["name"]: member for member in live}
        for member in wanted:
            name = member["name"]
            yield from _differences(subject, f"{path}[{name}]", member, by_name.get(name, ABSENT))
    elif not _same(path, wanted, live):
        yield Difference(subject, path, wanted, live)


def _same(path: str, wanted: Any, live: Any) -> bool:
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) == len(live) and all(_same(path, a, b) for a, b in zip(wanted, live, strict=True))
    if isinstance(wanted, str) and isinstance(live, str):
        if path == "location":
            return wanted.replace(" ", "").lower() == live.replace(" ", "").lower()
        if wanted.startswith("/subscriptions/"):
            return wanted.lower() == live.lower()
        if path.lower().endswith("version") and _VERSION.fullmatch(wanted):
            return live == wanted or live.startswith(f"{wanted}.")
    if live is ABSENT:
        return _is_off(wanted)
    if isinstance(wanted, Mapping) and not wanted:
        return True  # {} stands for "is there": a user-assigned identity
    return bool(wanted == live)


def _is_off(wanted: Any) -> bool:
    """What is switched off need not be there."""
    if isinstance(wanted, Mapping):
        return bool(wanted) and all(map(_is_off, wanted.values()))
    return wanted is False


def _named(members: list[Any]) -> bool:
    return all(isinstance(member, Mapping) and "name" in member for member in members)


def merged(wanted: Object, live: Object) -> Object:
    """The body of a PUT that changes what is different and keeps everything else: a PUT replaces the resource."""
    body = _merge(_writable(live), wanted)
    assert isinstance(body, dict)
    return body


def _merge(live: Any, wanted: Any) -> Any:
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        keys = {key.lower(): key for key in live}
        result = dict(live)
        for key, value in wanted.items():
            there = keys.get(key.lower(), key)
            result[there] = _merge(live[there], value) if there in live else copy.deepcopy(value)
        return result
    if isinstance(live, list) and isinstance(wanted, list) and _named(live) and _named(wanted):
        by_name = {member["name"]: member for member in live}
        for member in wanted:
            by_name[member["name"]] = _merge(by_name.get(member["name"], {}), member)
        return list(by_name.values())
    return copy.deepcopy(wanted)


def _writable(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Without what Azure only tells."""
    if isinstance(value, Mapping):
        told = next((names for where, names in _READ_ONLY.items() if _is_at(path, where)), ())
        return {key: _writable(inner, (*path, key)) for key, inner in value.items() if key not in told}
    if isinstance(value, list):
        return [_writable(inner, path) for inner in value]
    return copy.deepcopy(value)


def _is_at(path: tuple[str, ...], where: str) -> bool:
    parts = tuple(filter(None, where.split(".")))
    return len(parts) == len(path) and all(part in ("*", name) for part, name in zip(parts, path, strict=True))
