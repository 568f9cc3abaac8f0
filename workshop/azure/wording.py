"""A fault of Azure for a person: what came back in one sentence, the likeliest cause, the next command to type."""

from __future__ import annotations

import re

from workshop.azure.faults import Fault
from workshop.runbook.errors import UsageError, WorkshopError

_FIGURES = (
    ("limit", r"(?:current )?limit\W+(\d+)"),
    ("used", r"(?:current )?usage\W+(\d+)"),
    ("left", r"left regional vcpu quota\W+(\d+)|quota left\W+(\d+)|remaining\D{0,20}(\d+)"),
    ("needed", r"additional required\W+(\d+)|requested quota\W+(\d+)|requested\W+(\d+)|required\W+(\d+)"),
)
RIGHTS = (
    "Contributor makes the resources, and role assignments take Role Based Access Control Administrator (or Owner) "
    "as well"
)
_REGION = frozenset(
    {
        "LocationNotAvailableForResourceType",
        "LocationNotAvailableForResourceGroup",
        "RequestDisallowedByAzure",
        "RequestDisallowedByPolicy",
        "SkuNotAvailable",
        "VMSizeNotSupported",
        "NoRegisteredProviderFound",
        "LocationNotSupported",
    }
)


def worded(tried: str, fault: Fault, subscription: str, location: str, resource_id: str = "") -> WorkshopError:
    """One sentence on what came back, the likeliest cause and what to do. `resource_id` is of what was to be
    changed."""
    if fault.login:
        return fault.login.worded(tried)
    if fault.unreached:
        return fault.unreached.worded(tried)
    if fault.quota and not fault.throttled:
        return WorkshopError(
            tried,
            f"the quota of {location} is not enough{_figures(fault.message)} ({fault.code})",
            cause="the subscription may have no more of it in this region: ask for more, or for fewer or smaller "
            "nodes (azure.nodes), or use another region (azure.location)",
            next_command=f"az vm list-usage --location {location} --subscription {subscription} --output table",
        )
    if fault.code in _REGION:
        return WorkshopError(
            tried,
            f"{location} does not allow it: {fault.message} ({fault.code})",
            cause="the region, or a policy of the subscription, does not offer this kind or size there: "
            f"set azure.location (now {location}) to another one",
            next_command=f"az account list-locations --subscription {subscription} --output table",
        )
    if fault.code in ("AuthorizationFailed", "LinkedAuthorizationFailed") or fault.status == 403:
        return WorkshopError(
            tried,
            fault.message,
            cause=f"this login lacks the role: {RIGHTS}",
            next_command=f"az role assignment list --subscription {subscription} --output table",
        )
    if fault.code in ("SubscriptionNotFound", "InvalidSubscriptionId", "InvalidAuthenticationTokenTenant"):
        return UsageError(
            tried,
            f"{fault.message} ({fault.code})",
            cause=f"azure.subscription is {subscription}, which this login (or its tenant) does not have",
            next_command="az account list --output table",
        )
    if fault.status == 401:
        return UsageError(
            tried,
            f"the login is not accepted: {fault.message} ({fault.code})",
            cause="it has expired, or is for another tenant",
            next_command="az login",
        )
    cause, next_command = _likeliest(fault, resource_id)
    return WorkshopError(
        tried, f"{fault.message} ({fault.code or fault.status})", cause=cause, next_command=next_command
    )


def _likeliest(fault: Fault, resource_id: str) -> tuple[str, str]:
    """Cause and next command of what has no code of its own here."""
    show = f"az resource show --ids {resource_id}" if resource_id else ""
    if fault.throttled:
        return "too many requests of this subscription; the limit is by the hour, so wait before trying again", ""
    if fault.status >= 500:
        return "a fault at Azure (https://status.azure.com); the same command goes on from here", ""
    if fault.busy:
        return "another operation on it is under way; the same command goes on from here", show
    if fault.accepted:
        cause = "Azure took it on and could not finish it; the same command tries it again"
        events = f"az monitor activity-log list --resource-id {resource_id} --status Failed --offset 1d"
        return f"{cause}, and Azure's log of the resource may say more", events if resource_id else ""
    return "Azure refuses it as it is asked for: a setting of the profile may not suit it", show


def _figures(message: str) -> str:
    found = []
    for name, pattern in _FIGURES:
        if match := re.search(pattern, message, re.I):
            found.append(f"{name} {next(group for group in match.groups() if group)}")
    return ": " + ", ".join(found) if found else f": {message}"
