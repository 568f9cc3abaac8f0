"""istioctl as a subprocess, its answers parsed. Like kubectl, it is always told the kubeconfig and the context.

Which istioctl it is comes first: one that says it has the pinned version, else that version is downloaded from
Istio's releases and checked (`kubernetes/downloads.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workshop.kubernetes import tool_process
from workshop.kubernetes.downloads import Download, platform_name
from workshop.kubernetes.kubectl_failures import OUT_OF_REACH, reason_of
from workshop.kubernetes.tool_process import command_line, without_log_lines
from workshop.kubernetes.typed_commands import for_any_shell
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.run import Run

FOUND_ISSUES = 79
"""istioctl's exit status when `analyze` ran and found something at level Error (istioctl/cmd/errors.go)."""


class IstioctlError(WorkshopError):
    """istioctl ended with `status`; `stderr` is what it wrote."""

    def __init__(self, tried: str, stderr: str, status: int, *, cause: str = "", next_command: str = "") -> None:
        super().__init__(tried, without_log_lines(stderr), cause=cause, next_command=next_command)
        self.stderr, self.status = stderr, status


@dataclass(frozen=True, slots=True)
class Versions:
    """`control_plane` has the version of each istiod, none when there is none."""

    client: str
    control_plane: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One finding of `analyze`: IST0102, "Info", "Namespace bookinfo", and what it says."""

    code: str
    level: str
    origin: str
    text: str


def _silent(argv: tuple[str, ...], stdin: str) -> None:
    return None


class Program:
    """Which istioctl it is: one of the pinned version. `candidates` are looked at in order: paths, or a bare name
    for PATH. `client_versions` are what a usable one may call itself (by default, the pinned version)."""

    def __init__(
        self,
        version: str,
        release: Release,
        candidates: tuple[str, ...] = ("istioctl",),
        client_versions: tuple[str, ...] = (),
    ) -> None:
        self.version, self.release, self.candidates = version, release, candidates
        self._client_versions = client_versions or (version,)
        self._path = ""

    @property
    def likeliest(self) -> str:
        """Its path, or where it will be looked for first."""
        return self._path or self.candidates[0]

    async def path(self) -> str:
        """Downloaded when none of the candidates is of that version. Raises WorkshopError."""
        if not self._path:
            self._path = await self.installed() or str(await self.release.fetch(self.version))
        return self._path

    async def installed(self) -> str:
        """The one that is here already, empty when there is none."""
        for candidate in self.candidates:
            if await _client_version(candidate) in self._client_versions:
                return candidate
        downloaded = self.release.path(self.version)
        return str(downloaded) if downloaded.exists() else ""


@dataclass(frozen=True)
class Istioctl:
    """`profile` and `private_ingress` are how to install here, `start_hint` is the command that gets an unreachable
    target running."""

    program: Program
    kubeconfig: Path
    context: str
    profile: str = "default"
    private_ingress: bool = False
    start_hint: str = ""
    echo: Callable[[tuple[str, ...], str], None] = _silent

    @classmethod
    def of(cls, run: Run) -> Istioctl:
        """The target's istioctl, with each command shown as an event of `run`."""
        return replace(run.use(cls), echo=lambda argv, stdin: run.emit(events.Command(run.lab, argv, stdin)))

    @property
    def version(self) -> str:
        return self.program.version

    def typed(self, command: str) -> str:
        """What a person types next: "istioctl analyze" for this cluster, in whatever shell it is pasted into."""
        return for_any_shell(command, "istioctl", self.program.likeliest, self.kubeconfig, self.context)

    def _likeliest(self, stderr: str) -> tuple[str, str]:
        """The cause, where it can be told, and what to type next."""
        cause = OUT_OF_REACH.get(reason_of(stderr), "")
        if not cause:
            return "", self._kubectl("get pods -n istio-system")
        return cause, self.start_hint or self._kubectl("cluster-info")

    def _kubectl(self, words: str) -> str:
        return for_any_shell(f"kubectl {words}", "kubectl", "", self.kubeconfig, self.context)

    async def precheck(self, *, seconds: float = 120.0) -> str:
        """What `istioctl x precheck` says. Raises IstioctlError when this cluster must not get Istio."""
        return await self._call("x", "precheck", seconds=seconds)

    async def install(
        self, *args: str, seconds: float = 600.0, on_line: Callable[[str], None] | None = None
    ) -> str:
        return await self._call("install", "-y", *args, seconds=seconds, on_line=on_line)

    async def uninstall(self, *, seconds: float = 300.0) -> str:
        """Everything of Istio goes: all revisions, and what is in no namespace."""
        return await self._call("uninstall", "--purge", "-y", seconds=seconds)

    async def versions(self) -> Versions:
        return parse_versions(await self._call("version", "-o", "json", seconds=60))

    async def analyze(self, *args: str) -> list[Message]:
        """What is suspicious in the cluster (`-n NAMESPACE`, `-A`) or in files."""
        printed = await self._call("analyze", *args, "-o", "json", seconds=120, accepted=(0, FOUND_ISSUES))
        return parse_messages(printed)

    async def _call(
        self,
        *args: str,
        seconds: float,
        accepted: Sequence[int] = (0,),
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        options = (f"--kubeconfig={self.kubeconfig}", f"--context={self.context}")
        argv = (await self.program.path(), *args, *options)
        self.echo(argv, "")
        finished = await tool_process.run(argv, seconds=seconds, on_line=on_line)
        if finished.status not in accepted:
            cause, following = self._likeliest(finished.stderr)
            raise IstioctlError(
                command_line(("istioctl", *args)),
                finished.stderr or finished.stdout,
                finished.status,
                cause=cause,
                next_command=following,
            )
        return finished.stdout


async def _client_version(binary: str) -> str:
    """What an istioctl calls itself, empty when there is none or it does not say."""
    try:
        finished = await tool_process.run((binary, "version", "--remote=false", "-o", "json"), seconds=30)
        return parse_versions(finished.stdout).client if finished.status == 0 else ""
    except WorkshopError:
        return ""


def parse_versions(printed: str) -> Versions:
    """Of `istioctl version -o json`. Raises WorkshopError for anything else."""
    content = _json(printed, "istioctl version")
    try:
        client = content["clientVersion"]["version"]
        planes = tuple(plane["Info"]["version"] for plane in content.get("meshVersion") or ())
    except (KeyError, TypeError) as error:
        raise WorkshopError("read what istioctl version says", printed.strip()[:200]) from error
    return Versions(client, planes)


def parse_messages(printed: str) -> list[Message]:
    """Of `istioctl analyze -o json`. Raises WorkshopError for anything else."""
    content = _json(printed, "istioctl analyze")
    try:
        return [Message(m["code"], m["level"], m.get("origin", ""), m["message"]) for m in content]
    except (KeyError, TypeError) as error:
        raise WorkshopError("read what istioctl analyze says", printed.strip()[:200]) from error


def _json(printed: str, tried: str) -> Any:
    try:
        return json.loads(printed)
    except ValueError as error:
        raise WorkshopError(f"read what {tried} says", printed.strip()[:200] or "nothing") from error


@dataclass(frozen=True, slots=True)
class Release:
    """`base_url` has a folder for each version; `folder` is where programs are kept. `seconds` limits each answer
    from the server."""

    base_url: str
    folder: Path
    seconds: float = 60.0

    async def fetch(self, version: str) -> Path:
        """The path of istioctl, downloaded unless it is there already. Raises WorkshopError."""
        target = self.path(version)
        if not target.exists():
            await asyncio.to_thread(self._download(version).fetch, target)
        return target

    def path(self, version: str) -> Path:
        """Where a download is kept."""
        return self.folder / f"istioctl-{version}"

    async def reach(self, version: str) -> None:
        """Raises WorkshopError when it could not be downloaded now."""
        await asyncio.to_thread(self._download(version).reach)

    def samples(self, version: str) -> Download:
        """Of the folder `samples`, which the whole release has."""
        url = f"{self.base_url.rstrip('/')}/{version}/{archive_name(version, 'istio')}"
        return Download(url, f"istio-{version}/samples", "istio.download", seconds=self.seconds)

    def _download(self, version: str) -> Download:
        url = f"{self.base_url.rstrip('/')}/{version}/{archive_name(version)}"
        return Download(url, "istioctl", "istio.download", seconds=self.seconds)


def archive_name(version: str, what: str = "istioctl") -> str:
    """Of this machine's release archive: istioctl-1.31.1-linux-amd64.tar.gz. Raises WorkshopError when Istio has
    none for it."""
    return f"{what}-{version}-{platform_name('istioctl', darwin='osx')}.tar.gz"
