"""What a tool in a subprocess can end with, and what kubectl's stderr means.

kubectl tells its failures apart only in words. The words matched here are those of kubectl 1.32 to 1.37 and of
client-go; a failure that matches none still carries all of stderr.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from workshop.runbook.errors import UsageError, WorkshopError


class ToolMissing(UsageError):
    """The program is not there, or may not be executed."""


class ToolTimeout(WorkshopError):
    """The program did not end within its time limit and was killed. `seconds` is the limit."""

    def __init__(self, tried: str, seconds: float, came_back: str, *, cause: str = "", next_command: str = ""):
        super().__init__(
            tried,
            f"no end after {seconds:g} s" + (f"; until then: {came_back}" if came_back else ""),
            cause=cause,
            next_command=next_command,
        )
        self.seconds = seconds


class KubectlError(WorkshopError):
    """kubectl ended with `status`. `reason` is the API's own (NotFound, Conflict, AlreadyExists, Invalid,
    Unauthorized, Forbidden, ...), or Unreachable, NoContext, NotServed (a kind the cluster does not have),
    WebhookFailed, or empty when it is none of these. `stderr` is what kubectl wrote. A cluster that is not there is
    a matter of configuration, hence its exit status."""

    def __init__(
        self, tried: str, stderr: str, status: int, reason: str, *, cause: str = "", next_command: str = ""
    ):
        super().__init__(tried, without_log_lines(stderr), cause=cause, next_command=next_command)
        self.stderr, self.status, self.reason = stderr, status, reason
        if reason in ("NoContext", "Unreachable", DAMAGED):
            self.exit_status, self.everywhere = UsageError.exit_status, True


WEBHOOK_FAILED = "WebhookFailed"
"""A reason: what a webhook asks before something is written is not there, so that all of it is refused."""

UNREACHABLE = "the cluster is not running, or this machine cannot reach it"
"""The likeliest cause where nobody answers."""

DAMAGED = "DamagedKubeconfig"
"""A reason: kubectl cannot read the kubeconfig."""

_REASONS = (
    (WEBHOOK_FAILED, r"failed calling webhook"),  # what follows may be in the words of an unreachable server
    ("NoContext", r"context was not found for specified context|context \S+ does not exist"),
    ("NoContext", r"^error: stat .*: no such file or directory|no configuration has been provided"),
    (DAMAGED, r"^error: (error loading config file|unable to load root certificates)|tls: failed to find any PEM"),
    ("Unauthorized", r"\(Unauthorized\)|must be logged in to the server|Unauthorized|asked for the client to prov"),
    (
        "Unreachable",
        r"connection to the server .* was refused|Unable to connect to the server|dial tcp|i/o timeout",
    ),
    ("Unreachable", r"no such host|TLS handshake timeout|connection reset by peer|EOF$"),
    ("NotServed", r"doesn't have a resource type|no matches for kind"),
    ("NotServed", r"could not find the requested resource"),
)
_API_REASON = re.compile(r"Error from server \((\w+)\)")


def reason_of(stderr: str) -> str:
    """The reason of a KubectlError."""
    for reason, pattern in _REASONS:
        if re.search(pattern, stderr, re.MULTILINE):
            return reason
    found = _API_REASON.search(stderr)
    return found[1] if found else ""


_BROKEN = re.compile(
    r"connection refused|was refused - did you specify the right host|connection reset by peer|broken pipe"
    r"|\bEOF\b|TLS handshake timeout|i/o timeout|http2: (client|server) (connection|sent)|use of closed network"
)


def broke_on_its_way(stderr: str) -> bool:
    """Whether the connection to the API server failed, in the words of Go's net, net/http and crypto/tls: what was
    asked may be right, and the same may succeed a moment later."""
    return _BROKEN.search(stderr) is not None


def without_log_lines(stderr: str) -> str:
    """stderr without client-go's own log lines (`E1121 08:52:40.956476 9392 memcache.go:381] ...`), and every line
    once: for several kinds kubectl says the same of each."""
    lines = list(dict.fromkeys(stderr.strip().splitlines()))
    plain = [line for line in lines if not re.match(r"[EWI]\d{4} \d\d:\d\d:", line)]
    return "\n".join(plain or lines)


def command_line(argv: Sequence[str]) -> str:
    """As a person would type it."""
    return shlex.join(argv)
