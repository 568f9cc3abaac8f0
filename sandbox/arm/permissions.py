"""What whoever holds the token may do: everything, unless the settings say otherwise. Asked, and enforced."""

from __future__ import annotations

import re

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.routes import Answer, Call, Router

_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_CLIENT = "5a4d8e0c-0000-4000-8000-73616e64626f"


class Permissions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        router.add("GET", "/{scope*}/providers/Microsoft.Authorization/permissions", self.list)

    async def list(self, call: Call) -> Answer:
        """The same on every scope. One that is not there has none, and is not found."""
        scope = f"/{call.names['scope']}"
        parts = scope.split("/")
        if len(parts) > 4:
            self._cloud.group(parts[4])
        settings = self._cloud.settings
        said = {"actions": list(settings.actions), "notActions": list(settings.not_actions)}
        return Answer(200, {"value": [{**said, "dataActions": [], "notDataActions": []}]})

    def check(self, method: str, path: str) -> None:
        """Raises ArmError for what may not be done."""
        settings, action = self._cloud.settings, action_of(method, path)
        if settings.state == "Disabled" and not action.endswith("/read"):
            raise ArmError(
                409,
                "ReadOnlyDisabledSubscription",
                f"The subscription '{self._cloud.subscription}' is disabled and therefore marked as read only. You "
                "cannot perform any write actions on this subscription until it is re-enabled.",
            )
        if matches(settings.actions, action) and not matches(settings.not_actions, action):
            return
        raise ArmError(
            403,
            "AuthorizationFailed",
            f"The client 'sandbox' with object id '{_CLIENT}' does not have authorization to perform action "
            f"'{action}' over scope '{path}' or the scope is invalid. If access was recently granted, please "
            "refresh your credentials.",
        )


def action_of(method: str, path: str) -> str:
    """ "Microsoft.Network/virtualNetworks/write": a request as roles name it."""
    _, found, after = path.rpartition("/providers/")
    if not found:
        what = "subscriptions/resourceGroups" if "/resourcegroups/" in path.lower() else "subscriptions"
        return f"Microsoft.Resources/{what}/{_VERBS.get(method, method.lower())}"
    namespace, *rest = after.split("/")
    if method == "POST":
        *rest, verb = rest
        return "/".join((namespace, *rest[::2], verb, "action"))
    return "/".join((namespace, *rest[::2], _VERBS.get(method, method.lower())))


def matches(patterns: tuple[str, ...], action: str) -> bool:
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) for pattern in patterns)
