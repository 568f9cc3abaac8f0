"""What Azure says when it does not do what was asked, and whether that passes by itself. wording.py tells it.

The codes are those of ARM, AKS and the resource providers; several of them come both as an answer's status and as
the outcome of an operation that was accepted. Throttling shows in three ways: status 429 or 503 with a Retry-After
header, a delay only in the text ("retry in 17 seconds"), and a 429 of another provider nested in the text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from workshop.azure.login import LoginFailed
from workshop.azure.unreached import Unreached

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_ACCEPTED = 200
_LONGEST = 600.0
"""A delay beyond this many seconds is told instead of waited for."""

_DELAY = re.compile(r"(?:retry|try again)(?:ing)?\b[^.\d]{0,40}?(\d+)\s*(second|minute|sec|min|s\b)", re.I)
_NESTED = re.compile(r"StatusCode\W{1,3}429|status code:? 429|\b429 Too Many Requests|TooManyRequests", re.I)
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
_BUSY_TEXT = re.compile(
    r"in progress|being (deleted|updated|created)|another operation|is (creating|updating)", re.I
)
_QUOTA = re.compile(r"quota|limit reached|exceeding approved", re.I)


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
    def accepted(self) -> bool:
        return self.status == _ACCEPTED

    @property
    def summary(self) -> str:
        """The message in one short line."""
        return (self.message.strip().splitlines() or [self.code])[0][:120]

    @property
    def not_found(self) -> bool:
        """Not in a subscription that there is none of: it lacks nothing, and nothing can be made in it."""
        return self.status == 404 and self.code != "SubscriptionNotFound"

    @property
    def token_refused(self) -> bool:
        return self.status == 401 and not self.login

    @property
    def throttled(self) -> bool:
        return self.status == 429 or bool(_NESTED.search(self.message))

    @property
    def busy(self) -> bool:
        """Something else is under way on this resource, and has to end first. Of a 409 the text decides: each
        provider has codes of its own for it."""
        conflict = self.status == 409 or self.code in _BUSY
        return conflict and bool(_BUSY_TEXT.search(self.message)) and not self.quota

    @property
    def quota(self) -> bool:
        return self.status != 429 and bool(_QUOTA.search(f"{self.code} {self.message}"))

    def delay(self, attempt: int, backoff: float) -> float | None:
        """Seconds until trying again makes sense, None when it does not. `attempt` counts from 1."""
        if self.login or (self.quota and not self.throttled):
            return None
        named = self.retry_after if self.retry_after is not None else _delay_in(self.message)
        passing = self.status in _PASSING or self.throttled or self.busy or self.code == "PrincipalNotFound"
        if named is not None and (passing or self.retry_after is not None):
            return named if named <= _LONGEST else None
        if passing or self.status == 0:
            return float(backoff * 2 ** (attempt - 1))
        return None


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
    from email.utils import parsedate_to_datetime

    for name, unit in (("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0), ("Retry-After", 1.0)):
        given = headers.get(name)
        if not given:
            continue
        try:
            return max(0.0, float(given) / unit)
        except ValueError:
            pass
        try:
            import time

            return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
        except (ValueError, TypeError):
            continue
    return None


def _delay_in(message: str) -> float | None:
    found = _DELAY.search(message)
    if not found:
        return None
    return float(found[1]) * (60.0 if found[2].lower().startswith("min") else 1.0)
