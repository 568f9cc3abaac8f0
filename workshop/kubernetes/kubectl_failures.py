"""Why kubectl did not do it: the reasons that it tells only in words, the error that carries them, and what to type
next for each."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from workshop.kubernetes.kubeconfigs import contexts_in
from workshop.kubernetes.tool_process import command_line, without_log_lines
from workshop.runbook.errors import UsageError, WorkshopError


class Reason(StrEnum):
    """Why kubectl, or the API server, did not do it. kubectl tells its failures apart only in words; they are read
    here, once (`reason_of`). The first ones are the API's own (metav1.StatusReason)."""

    ALREADY_EXISTS = "AlreadyExists"
    BAD_REQUEST = "BadRequest"
    CONFLICT = "Conflict"
    EXPIRED = "Expired"
    FORBIDDEN = "Forbidden"
    GONE = "Gone"
    INTERNAL_ERROR = "InternalError"
    INVALID = "Invalid"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    NOT_ACCEPTABLE = "NotAcceptable"
    NOT_FOUND = "NotFound"
    REQUEST_ENTITY_TOO_LARGE = "RequestEntityTooLarge"
    SERVER_TIMEOUT = "ServerTimeout"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    TIMEOUT = "Timeout"
    TOO_MANY_REQUESTS = "TooManyRequests"
    UNAUTHORIZED = "Unauthorized"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"

    UNREACHABLE = "Unreachable"
    CERTIFICATE = "Certificate"
    """Somebody answers whose certificate is not the one that the kubeconfig trusts."""
    NO_CONTEXT = "NoContext"
    DAMAGED_KUBECONFIG = "DamagedKubeconfig"
    """kubectl cannot read it."""
    NOT_SERVED = "NotServed"
    """The cluster does not have such a kind."""
    WEBHOOK_FAILED = "WebhookFailed"
    """What a webhook asks before something is written is not there, so that all of it is refused."""
    WAIT_TIMED_OUT = "WaitTimedOut"
    """What was to be waited for had not come when time was up."""
    COMMAND_FAILED = "CommandFailed"
    """A command in a pod ran, and ended with another exit status than 0."""
    OTHER = ""
    """None of these; all of stderr says more."""


class KubectlError(WorkshopError):
    """kubectl ended with `status`, for this `reason`; `stderr` is what it wrote. A cluster that is not there is a
    matter of configuration, hence its exit status."""

    def __init__(
        self, tried: str, stderr: str, status: int, reason: Reason, *, cause: str = "", next_command: str = ""
    ):
        super().__init__(tried, without_log_lines(stderr), cause=cause, next_command=next_command)
        self.stderr, self.status, self.reason = stderr, status, reason
        if reason in (Reason.NO_CONTEXT, Reason.UNREACHABLE, Reason.CERTIFICATE, Reason.DAMAGED_KUBECONFIG):
            self.exit_status, self.everywhere = UsageError.exit_status, True


UNREACHABLE = "the cluster is not running, or this machine cannot reach it"
"""The likeliest cause where nobody answers."""

ANOTHER_SERVER = (
    "what answers there is not the server that the kubeconfig trusts: the cluster was made anew since the "
    "kubeconfig was written, its certificate has expired, or something in between answers"
)
"""The likeliest cause where somebody answers with another certificate."""

OUT_OF_REACH = {Reason.UNREACHABLE: UNREACHABLE, Reason.CERTIFICATE: ANOTHER_SERVER}
"""Why there is no talking to the cluster at all, each with its likeliest cause."""

_REASONS = (
    (Reason.COMMAND_FAILED, r"^command terminated with exit code \d+$"),  # what the command wrote may say anything
    (Reason.WAIT_TIMED_OUT, r"timed out waiting for the condition"),
    (Reason.WEBHOOK_FAILED, r"failed calling webhook"),  # what follows may be in the words of an unreachable server
    (Reason.SERVICE_UNAVAILABLE, r"error trying to reach service: "),  # behind the API server, which does answer
    (Reason.NO_CONTEXT, r"context was not found for specified context|context \S+ does not exist"),
    (Reason.NO_CONTEXT, r"^error: stat .*: no such file or directory|no configuration has been provided"),
    (
        Reason.DAMAGED_KUBECONFIG,
        r"^error: (error loading config file|unable to load root cert)|tls: failed to find any PEM",
    ),
    (Reason.UNAUTHORIZED, r"must be logged in to the server|Unauthorized|asked for the client to prov"),
    (Reason.CERTIFICATE, r"failed to verify certificate|\bx509: "),
    (
        Reason.UNREACHABLE,
        r"connection to the server .* was refused|Unable to connect to the server|dial tcp|i/o timeout",
    ),
    (Reason.UNREACHABLE, r"no such host|TLS handshake timeout|connection reset by peer|EOF$"),
    (Reason.NOT_SERVED, r"doesn't have a resource type|no matches for kind"),
    (Reason.NOT_SERVED, r"could not find the requested resource"),
)
_API_REASON = re.compile(r"Error from server \((\w+)\)")


def reason_of(stderr: str) -> Reason:
    """The reason that kubectl's stderr tells, in the words of kubectl 1.32 to 1.37 and of client-go."""
    for reason, pattern in _REASONS:
        if re.search(pattern, stderr, re.MULTILINE):
            return reason
    found = _API_REASON.search(stderr)
    return next((reason for reason in Reason if found and reason == found[1]), Reason.OTHER)


_BROKEN = re.compile(
    r"connection refused|was refused - did you specify the right host|connection reset by peer|broken pipe"
    r"|\bEOF\b|TLS handshake timeout|i/o timeout|http2: (client|server) (connection|sent)|use of closed network"
)


def broke_on_its_way(stderr: str) -> bool:
    """Whether the connection to the API server failed, in the words of Go's net, net/http and crypto/tls: what was
    asked may be right, and the same may succeed a moment later."""
    return _BROKEN.search(stderr) is not None


class Asked(Protocol):
    """The kubectl that failed: whose words lead on."""

    @property
    def kubeconfig(self) -> Path: ...
    @property
    def context(self) -> str: ...
    @property
    def start_hint(self) -> str: ...
    @property
    def remake_hint(self) -> str: ...
    def typed(self, command: str) -> str: ...


def advice(reason: Reason, stderr: str, asked: Asked) -> tuple[str, str]:
    """The likeliest cause, and the next command to type; empty where nothing is likelier than the rest."""
    config = ("kubectl", f"--kubeconfig={asked.kubeconfig}", "config")
    cause, following = "", ""
    if reason is Reason.NO_CONTEXT:
        cause = f"{asked.kubeconfig} has no context {asked.context}; {_others(asked.context, asked.kubeconfig)}"
        following = asked.remake_hint or f"{command_line(config)} get-contexts"
    elif reason is Reason.DAMAGED_KUBECONFIG:
        cause = f"{asked.kubeconfig} is damaged"
        following = asked.remake_hint or f"{command_line(config)} view"
    elif reason is Reason.UNREACHABLE:
        cause = UNREACHABLE
        following = asked.start_hint or asked.typed("kubectl cluster-info")
    elif reason is Reason.CERTIFICATE:
        cause = ANOTHER_SERVER
        following = asked.remake_hint or asked.start_hint or asked.typed("kubectl cluster-info")
    elif reason is Reason.UNAUTHORIZED:
        cause = "the credentials in the kubeconfig are not (or no longer) accepted by this cluster"
        following = asked.typed("kubectl auth whoami")
    elif reason is Reason.FORBIDDEN:
        cause = "this user may not do that in this cluster"
        following = asked.typed("kubectl auth can-i --list")
    elif reason is Reason.NOT_SERVED:
        cause = "the cluster has no such kind; what brings it is not installed"
        following = asked.typed("kubectl api-resources")
    elif reason is Reason.WEBHOOK_FAILED:
        cause = "what a webhook asks does not answer: its Service is not there, or no pod of it is ready"
        service = re.search(r"https?://[\w-]+\.([\w-]+)\.svc", stderr)
        following = asked.typed(f"kubectl get services,pods {f'-n {service[1]}' if service else '-A'}")
    elif reason is Reason.NOT_FOUND:
        cause = "it is not there, or no longer"
        following = asked.typed("kubectl get all -A")
    return cause, following


_LISTED, _NEAREST = 6, 3
"""Contexts of a kubeconfig that are named: all, or of more the nearest ones."""


def _others(wanted: str, kubeconfig: Path) -> str:
    """What contexts there are instead, in words."""
    there = contexts_in(kubeconfig)
    if len(there) <= _LISTED:
        return f"it has {', '.join(there) or 'none'}"
    near = difflib.get_close_matches(wanted, there, n=_NEAREST, cutoff=0.4)
    said = f"it has {len(there)}"
    return f"{said}, the nearest are {', '.join(near)}" if near else f"{said}, none of a similar name"
