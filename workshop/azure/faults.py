"""What Azure says when it does not do what was asked: which kind of fault that is, whether it passes by itself, and
how it is told.

The codes are those of ARM, AKS and the resource providers; several of them come both as an answer's status and as
the outcome of an operation that was accepted. Throttling shows in three ways: status 429 or 503 with a Retry-After
header, a delay only in the text ("retry in 17 seconds"), and a 429 of another provider nested in the text.

Where Azure's code does not tell the kind, its text has to: each provider has codes of its own. It is read here, and
nowhere else: who deals with a fault asks for its `kind`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any

from workshop.runbook.errors import UsageError, WorkshopError

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_ACCEPTED = 200
_LONGEST = 600.0
"""A delay beyond this many seconds is told instead of waited for."""

_LONGEST_SAID = 200
"""Letters of what a login says that are repeated."""

RIGHTS = (
    "Contributor makes the resources, and role assignments take Role Based Access Control Administrator (or Owner) "
    "as well"
)


class Kind(Enum):
    """What a fault is about. A fault is of the first kind that fits, in this order."""

    LOGIN = auto()
    """There is no token."""
    UNREACHED = auto()
    """There was no answer."""
    NOT_FOUND = auto()
    THROTTLED = auto()
    QUOTA = auto()
    BUSY = auto()
    """Something else is under way on this resource, and has to end first."""
    REGION = auto()
    """The region, or a policy, does not offer it."""
    RIGHTS = auto()
    SUBSCRIPTION = auto()
    """There is none of that id, or it is another tenant's."""
    PROVIDER = auto()
    """The subscription has not registered the provider."""
    PRINCIPAL = auto()
    """An identity is not known everywhere yet."""
    TOKEN = auto()
    """The token is not accepted."""
    AZURES = auto()
    """Azure's own fault."""
    OTHER = auto()


_OF_CODE: Mapping[str, Kind] = {
    **dict.fromkeys(
        (
            "LocationNotAvailableForResourceType",
            "LocationNotAvailableForResourceGroup",
            "RequestDisallowedByAzure",
            "RequestDisallowedByPolicy",
            "SkuNotAvailable",
            "VMSizeNotSupported",
            "NoRegisteredProviderFound",
            "LocationNotSupported",
        ),
        Kind.REGION,
    ),
    **dict.fromkeys(("AuthorizationFailed", "LinkedAuthorizationFailed"), Kind.RIGHTS),
    **dict.fromkeys(
        ("SubscriptionNotFound", "InvalidSubscriptionId", "InvalidAuthenticationTokenTenant"), Kind.SUBSCRIPTION
    ),
    "MissingSubscriptionRegistration": Kind.PROVIDER,
    "PrincipalNotFound": Kind.PRINCIPAL,
}
_OF_STATUS: Mapping[int, Kind] = {401: Kind.TOKEN, 403: Kind.RIGHTS, 429: Kind.THROTTLED}

_BUSY = frozenset(
    {
        "AnotherOperationInProgress",
        "OperationNotAllowed",
        "Conflict",
        "ConflictError",
        "ResourceGroupBeingDeleted",
        "ReferencedResourceNotProvisioned",
        "RetryableError",
    }
)
"""Codes that come for this reason, and for others."""

_BUSY_TEXT = re.compile(
    r"in progress|being (deleted|updated|created)|another operation|is (creating|updating)", re.I
)
_THROTTLED_TEXT = re.compile(
    r"StatusCode\W{1,3}429|status code:? 429|\b429 Too Many Requests|TooManyRequests", re.I
)
_QUOTA_TEXT = re.compile(r"quota|limit reached|exceeding approved", re.I)
_DELAY_TEXT = re.compile(r"(?:retry|try again)(?:ing)?\b[^.\d]{0,40}?(\d+)\s*(second|minute|sec|min|s\b)", re.I)
_FIGURES = (
    ("limit", r"(?:current )?limit\W+(\d+)"),
    ("used", r"(?:current )?usage\W+(\d+)"),
    ("left", r"left regional vcpu quota\W+(\d+)|quota left\W+(\d+)|remaining\D{0,20}(\d+)"),
    ("needed", r"additional required\W+(\d+)|requested quota\W+(\d+)|requested\W+(\d+)|required\W+(\d+)"),
)
"""Of a quota that is not enough: Azure tells them in the text only."""

_HOST = re.compile(r"host='([^']+)'(?:, port=(\d+))?")
_WHY = (
    (r"Failed to resolve|NameResolutionError|getaddrinfo failed", "its name does not resolve (DNS)"),
    (r"\(connect timeout=([\d.]+?)(?:\.0)?\)", r"no connection within \1 s"),
    (r"\(read timeout=([\d.]+?)(?:\.0)?\)", r"no answer within \1 s"),
    (r"(certificate verify failed(?:: [^()]*[^() ])?)", r"\1"),
    (r"(Connection refused|Connection reset by peer|Remote end closed connection)", r"\1"),
    (r"\[Errno -?\d+\] ([^'\")]+)", r"\1"),
    (r"\[SSL[^\]]*\] ([^'\"()]*[^'\"() ])", r"\1"),
)


class TasksNotAllowed(WorkshopError):
    """ACR Tasks, which build images, are not for this subscription."""


class ProviderNotRegistered(WorkshopError):
    """The subscription has not registered the resource provider."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """Why there was no answer, out of the texts that the SDK, urllib3 and the operating system wrap in each other.
    That is all there is: `az` prints the same, and the SDK's credentials keep nothing else of the error either.

    `host` has its port unless that is HTTPS's own; it is empty when the text names none, or only a proxy."""

    host: str
    why: str

    @classmethod
    def read(cls, text: str) -> Unreached | None:
        """None when the text is not about a connection."""
        found = _HOST.search(text)
        host = "" if found is None else found[1] if found[2] in (None, "443") else f"{found[1]}:{found[2]}"
        why = next((match.expand(said) for pattern, said in _WHY if (match := re.search(pattern, text))), "")
        if why and "connect to proxy" in text:
            return cls("", f"the proxy that is set (HTTPS_PROXY): {why}")
        return cls(host, why) if why else None

    def __str__(self) -> str:
        return f"{self.host}: {self.why}" if self.host else self.why

    def error(self, tried: str) -> WorkshopError:
        return WorkshopError(
            tried,
            str(self),
            cause="this machine does not reach it: network, DNS, proxy or firewall; or Azure is down",
            next_command=f"curl -I -m 10 https://{self.host}/" if self.host else "env | grep -i proxy",
        )


@dataclass(frozen=True, slots=True)
class Login:
    """A way to log in, as a person knows it; `cause` and `next_command` are for when it is refused."""

    name: str
    cause: str
    next_command: str


class LoginFailed(Exception):
    """There is no token: `login` was refused, or, without one, no way is set up. `said` is what came back."""

    def __init__(self, said: str, login: Login | None = None) -> None:
        super().__init__(said)
        self.said, self.login = said, login

    def error(self, tried: str) -> WorkshopError:
        if unreached := Unreached.read(self.said):
            return unreached.error(tried)
        if self.login is None:
            return UsageError(
                tried,
                "there is no credential for Azure" + (f": {self.said}" if self.said else ""),
                cause="log in with `az login` or `azd auth login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
                "AZURE_CLIENT_SECRET for a service principal",
                next_command="az account get-access-token" if self.said else "az login",
            )
        return UsageError(
            tried,
            f"{self.login.name} gives no token: {_sentence(self.said)}",
            cause=self.login.cause,
            next_command=self.login.next_command,
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """`status` is 0 when there was no answer: the connection was not made, or broke (`unreached` tells)."""

    status: int
    code: str
    message: str
    retry_after: float | None = None
    login: LoginFailed | None = None
    unreached: Unreached | None = None

    @classmethod
    def of(cls, error: Exception) -> Fault | None:
        """None for an exception that is not Azure's."""
        from azure.core import exceptions

        if isinstance(error, LoginFailed):
            return cls(401, "LoginFailed", str(error), login=error)
        if isinstance(error, exceptions.HttpResponseError) and error.response is not None:
            status, headers, body = _answer(error.response)
            code, message = read_error(body)
            return cls(status, code, message or str(error.message), _retry_after(headers))
        if isinstance(error, exceptions.AzureError):
            return cls._unanswered(Unreached.read(str(error)) or Unreached("", str(error)))
        if isinstance(error, json.JSONDecodeError):  # a proxy's page, or a body that was cut off
            return cls._unanswered(Unreached("", f"what came back is not JSON ({error})"))
        return None

    @classmethod
    def _unanswered(cls, unreached: Unreached) -> Fault:
        return cls(0, "NoAnswer", str(unreached), unreached=unreached)

    @classmethod
    def failed(cls, outcome: Any) -> Fault:
        """Of an operation that was accepted and did not succeed: its last status."""
        code, message = read_error(outcome)
        return cls(_ACCEPTED, code or "OperationFailed", message or "the operation failed, without saying why")

    @property
    def kind(self) -> Kind:
        if self.login or self.unreached:
            return Kind.LOGIN if self.login else Kind.UNREACHED
        of_code = _OF_CODE.get(self.code)
        if self.status == 404 and of_code is not Kind.SUBSCRIPTION:
            return Kind.NOT_FOUND  # but a subscription lacks nothing: nothing can be made in one that is not there
        if self.status == 429 or _THROTTLED_TEXT.search(self.message):
            return Kind.THROTTLED
        if _QUOTA_TEXT.search(f"{self.code} {self.message}"):
            return Kind.QUOTA
        if (self.status == 409 or self.code in _BUSY) and _BUSY_TEXT.search(self.message):
            return Kind.BUSY
        return of_code or _OF_STATUS.get(self.status) or (Kind.AZURES if self.status >= 500 else Kind.OTHER)

    @property
    def accepted(self) -> bool:
        return self.status == _ACCEPTED

    @property
    def summary(self) -> str:
        """The message in one short line."""
        return (self.message.strip().splitlines() or [self.code])[0][:120]

    @property
    def token_refused(self) -> bool:
        return self.status == 401 and not self.login

    def delay(self, attempt: int, backoff: float) -> float | None:
        """Seconds until trying again makes sense, None when it does not. `attempt` counts from 1."""
        if self.kind in (Kind.LOGIN, Kind.QUOTA):
            return None
        named = self.retry_after if self.retry_after is not None else _delay_in(self.message)
        passing = self.status in _PASSING or self.kind in (Kind.THROTTLED, Kind.BUSY, Kind.PRINCIPAL)
        if named is not None and (passing or self.retry_after is not None):
            return named if named <= _LONGEST else None
        if passing or self.status == 0:
            return float(backoff * 2 ** (attempt - 1))
        return None

    def error(self, tried: str, subscription: str, location: str, resource_id: str = "") -> WorkshopError:
        """For a person: what came back in one sentence, the likeliest cause and what to do. `resource_id` is that
        of what was to be changed."""
        if self.login:
            return self.login.error(tried)
        if self.unreached:
            return self.unreached.error(tried)
        said = f"{self.message} ({self.code or self.status})"
        if self.code == "TasksOperationsNotAllowed":
            cause = "Microsoft has paused ACR Tasks for subscriptions that live on free credits"
            return TasksNotAllowed(tried, said, cause=cause, next_command="")
        match self.kind:
            case Kind.QUOTA:
                return WorkshopError(
                    tried,
                    f"the quota of {location} is not enough{_figures(self.message)} ({self.code})",
                    cause="the subscription may have no more of it in this region: ask for more, or for fewer or "
                    "smaller nodes (azure.nodes), or use another region (azure.location)",
                    next_command=f"az vm list-usage --location {location} --subscription {subscription} "
                    "--output table",
                )
            case Kind.REGION:
                return WorkshopError(
                    tried,
                    f"{location} does not allow it: {said}",
                    cause="the region, or a policy of the subscription, does not offer this kind or size there: "
                    f"set azure.location (now {location}) to another one",
                    next_command=f"az account list-locations --subscription {subscription} --output table",
                )
            case Kind.RIGHTS:
                return WorkshopError(
                    tried,
                    self.message,
                    cause=f"this login lacks the role: {RIGHTS}",
                    next_command=f"az role assignment list --subscription {subscription} --output table",
                )
            case Kind.SUBSCRIPTION:
                return UsageError(
                    tried,
                    said,
                    cause=f"azure.subscription is {subscription}, which this login (or its tenant) does not have",
                    next_command="az account list --output table",
                )
            case Kind.TOKEN:
                return UsageError(
                    tried,
                    f"the login is not accepted: {said}",
                    cause="it has expired, or is for another tenant",
                    next_command="az login",
                )
        cause, next_command = self._likeliest(resource_id)
        kind = ProviderNotRegistered if self.kind is Kind.PROVIDER else WorkshopError
        return kind(tried, said, cause=cause, next_command=next_command)

    def _likeliest(self, resource_id: str) -> tuple[str, str]:
        """Cause and next command of what has no error of its own here."""
        show = f"az resource show --ids {resource_id}" if resource_id else ""
        if self.kind is Kind.THROTTLED:
            return (
                "too many requests of this subscription; the limit is by the hour, so wait before trying again",
                "",
            )
        if self.status >= 500:
            return "a fault at Azure (https://status.azure.com); the same command goes on from here", ""
        if self.kind is Kind.BUSY:
            return "another operation on it is under way; the same command goes on from here", show
        if self.accepted:
            cause = "Azure took it on and could not finish it; the same command tries it again"
            events = f"az monitor activity-log list --resource-id {resource_id} --status Failed --offset 1d"
            return f"{cause}, and Azure's log of the resource may say more", events if resource_id else ""
        return "Azure refuses it as it is asked for: a setting of the profile may not suit it", show


def read_error(body: Any) -> tuple[str, str]:
    """Code and message of ARM's error format, the innermost details included: they have the figures."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        return "", str(error)
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    for detail in error.get("details") or ():
        inner, text = read_error(detail)
        if text and text not in message:
            message = f"{message} {text}".strip()
        code = inner if code in ("", "BadRequest", "DeploymentFailed", "InternalOperationError") and inner else code
    return code, message


def _answer(response: Any) -> tuple[int, Any, Any]:
    try:
        body = json.loads(response.text())
    except Exception:  # a body that is cut off, not text, or not JSON says nothing more than the status
        body = {}
    return int(response.status_code), response.headers, body


def _retry_after(headers: Any) -> float | None:
    for name, unit in (("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0), ("Retry-After", 1.0)):
        given = headers.get(name)
        if not given:
            continue
        try:
            return max(0.0, float(given) / unit)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
        except (ValueError, TypeError):
            continue
    return None


def _delay_in(message: str) -> float | None:
    found = _DELAY_TEXT.search(message)
    if not found:
        return None
    return float(found[1]) * (60.0 if found[2].lower().startswith("min") else 1.0)


def _figures(message: str) -> str:
    found = []
    for name, pattern in _FIGURES:
        if match := re.search(pattern, message, re.I):
            found.append(f"{name} {next(group for group in match.groups() if group)}")
    return ": " + ", ".join(found) if found else f": {message}"


def _sentence(said: str) -> str:
    """The first sentence that says something: of Entra ID's own error when there is one, else of the first line
    that a tool marks as an error."""
    found = re.search(r"AADSTS\d+.*", said) or re.search(r"(?<=ERROR: ).+", said) or re.search(r"\S.*", said)
    first = re.split(r"\.(?:\s|$)| Trace ID:", found[0])[0] if found else "it does not say why"
    return first if len(first) <= _LONGEST_SAID else f"{first[:_LONGEST_SAID]} ..."
