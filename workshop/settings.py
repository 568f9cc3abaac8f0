"""Profiles (config/*.yaml) as typed, validated settings.

Invoke collects them: the defaults are `config/sandbox.yaml`, a profile given with `-f` lies over them, `INVOKE_*`
variables over that. What comes out is checked as a whole here, so a misspelt key, a wrong type or a broken
file ends with one clear sentence and exit status 2 before anything is touched.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from msgspec import Struct, ValidationError, convert, structs

from workshop.runbook.errors import UsageError

if TYPE_CHECKING:
    from invoke.config import Config

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PROFILE = ROOT / "config" / "sandbox.yaml"

_INVOKES_OWN = ("run", "runners", "sudo", "tasks", "timeouts", "debug")


class Cluster(Struct, frozen=True, forbid_unknown_fields=True):
    """`secondary` is empty where there is one cluster only."""

    context: str
    secondary: str
    kubeconfig: str


class Istio(Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    profile: str
    ingress: Literal["public", "private"]
    download: str


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster and its resource group."""

    group: str
    cluster: str


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    prefix: str
    subnet: str
    subnet_prefix: str


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    prefix: str
    dns_ip: str


class Nodes(Struct, frozen=True, forbid_unknown_fields=True):
    size: str
    count: int
    max_pods: int
    pool: str


class Pods(Struct, frozen=True, forbid_unknown_fields=True):
    """How pods get their addresses and who enforces policies: AKS's networkPlugin and what goes with it. `prefix`
    is for the overlay."""

    plugin: Literal["azure"]
    mode: Literal["overlay", "node-subnet"]
    dataplane: Literal["cilium", "azure"]
    policy: Literal["cilium", "azure", "calico", "none"]
    prefix: str


class Azure(Struct, frozen=True, forbid_unknown_fields=True):
    """What the azure labs make. Types only: the rules are in workshop.azure.rules."""

    subscription: str
    tenant: str
    location: str
    tag: str
    primary: Place
    secondary: Place
    registry: str
    network: Network
    service: Service
    kubernetes: str
    nodes: Nodes
    pods: Pods
    monitoring: bool
    workspace: str
    import_images: tuple[str, ...]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    target: Literal["sandbox", "azure", "cluster"]
    state: str
    cluster: Cluster
    azure: Azure
    istio: Istio
    images: dict[str, str]

    @property
    def state_folder(self) -> Path:
        """Absolute; a relative `state` lies in the folder of tasks.py."""
        return ROOT / Path(self.state).expanduser()

    @property
    def sandbox_folder(self) -> Path:
        return self.state_folder / "sandbox"

    @property
    def kubeconfig(self) -> Path:
        """The workshop's own, with the clusters that the azure labs make."""
        return self.state_folder / "kubeconfig"


def read_profile(path: Path) -> dict[str, Any]:
    """A profile's content. Raises UsageError for a file that is missing, broken, or no mapping."""
    import yaml

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except OSError as error:
        raise UsageError(
            f"read the profile {path}", error.strerror or str(error), next_command="ls config"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise broken_yaml(str(path), error) from error
    if not isinstance(content, dict):
        raise UsageError(f"read the profile {path}", "it is not a mapping of settings")
    return content


def broken_yaml(path: str, error: Any) -> UsageError:
    """A YAML error (PyYAML's, or that of the YAML bundled with Invoke) as file, line and column."""
    mark = error.problem_mark or error.context_mark
    where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else path
    return UsageError(f"read {where}", error.problem or error.context or str(error), cause="the YAML is broken")


def load(config: Config) -> Settings:
    """The settings of a task, from its `context.config`: the default profile goes under what Invoke has collected,
    and makes its keys known to INVOKE_* variables. It is read here, not when tasks.py is loaded, so that listing
    and completing do not wait for it."""
    from invoke.exceptions import AmbiguousEnvVar, UncastableEnvVar

    config.load_collection(read_profile(DEFAULT_PROFILE))
    try:
        config.load_shell_env()
    except (AmbiguousEnvVar, UncastableEnvVar) as error:
        raise UsageError("read the settings", str(error), cause="an INVOKE_* variable does not fit") from error
    return from_config(dict(config.items()))


def from_config(config: Mapping[str, Any]) -> Settings:
    """Invoke's merged configuration as settings. Raises UsageError naming the key, and the nearest valid one."""
    content = {key: value for key, value in config.items() if key not in _INVOKES_OWN}
    try:
        settings = convert(content, Settings, strict=False)
    except ValidationError as error:
        raise _worded(error, content) from error
    if settings.target == "azure" and not settings.azure.subscription:
        raise UsageError(
            "read the settings",
            "target is azure, but azure.subscription names none",
            cause="the profile does not say where the clusters are to be made",
            next_command="az account list --output table",
        )
    if settings.target == "cluster" and not settings.cluster.context:
        raise UsageError(
            "read the settings",
            "target is cluster, but cluster.context names no context",
            cause="the profile does not say which cluster the workshop may work on",
            next_command="kubectl config get-contexts",
        )
    if settings.target == "cluster" and settings.cluster.secondary == settings.cluster.context:
        raise UsageError(
            "read the settings",
            f"cluster.secondary is {settings.cluster.secondary!r}, as cluster.context is",
            cause="the secondary is another cluster, or none",
            next_command="kubectl config get-contexts",
        )
    return settings


def _worded(error: ValidationError, content: Mapping[str, Any]) -> UsageError:
    """msgspec says `Expected ..., got ... - at `$.a.b`` or `Object contains unknown field `x` - at `$.a``."""
    problem, _, at = str(error).partition(" - at `$")
    path = at.strip("`.")
    if unknown := re.search(r"unknown field `(.*)`", problem):
        kind: Any = Settings
        for part in filter(None, path.split(".")):
            kind = {field.name: field.type for field in structs.fields(kind)}[part]
        valid = [field.name for field in structs.fields(kind)]
        near = difflib.get_close_matches(unknown[1], valid, n=1, cutoff=0.5)
        prefix = f"{path}." if path else ""
        return UsageError(
            "read the settings",
            f"there is no setting {prefix}{unknown[1]}",
            cause=f"did you mean {prefix}{near[0]}?"
            if near
            else f"valid are {', '.join(prefix + v for v in valid)}",
        )
    plain = problem.replace("`", "")
    if "[...]" in path:  # inside a mapping of free names, msgspec does not say which
        return UsageError("read the settings", f"{path}: {plain}")
    value: Any = content
    kind = Settings
    for part in filter(None, path.split(".")):
        value = value.get(part, "missing")
        kind = {field.name: field.type for field in structs.fields(kind)}[part]
    if get_origin(kind) is Literal:
        plain = f"valid are {', '.join(get_args(kind))}"
    return UsageError("read the settings", f"{path} is {value!r}", cause=plain)
