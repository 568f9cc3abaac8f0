"""Profiles (config/*.yaml) as typed, validated settings.

The defaults are `config/sandbox.yaml`, a profile given with `-f` lies over them, `INVOKE_*` variables over that.
What comes out is checked as a whole here, so a misspelt key, a wrong type or a broken file ends with one clear
sentence (mistakes.py) and exit status 2 before anything is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from invoke.config import Config
from msgspec import Struct, ValidationError, convert
from msgspec.structs import replace

from workshop.mistakes import Misfit, Mistake, no_mapping, no_text, no_variable, of_validation, variable_of
from workshop.runbook.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the packages: the checkout, or where they are installed."""

CONFIG = next(folder for folder in (ROOT / "config", Path(__file__).with_name("config")) if folder.is_dir())
"""The profiles: at the top of a checkout, inside the package where it is installed."""

DEFAULT_PROFILE = CONFIG / "sandbox.yaml"

PLACEHOLDER = "00000000-0000-0000-0000-000000000000"
"""The subscription of config/azure.yaml: Azure would ask for a login first, and then say that there is none."""

PLACEHOLDER_CONTEXT = "my-context"
"""That of config/cluster.yaml: a kubeconfig may have one of that name, if hardly."""

_DEEPEST, _MOST_VALUES = 50, 10_000
"""Of a profile: the default one has four levels and a hundred values."""

_INVOKES_OWN = ("run", "runners", "sudo", "tasks", "timeouts", "debug")
_INVOKES_VARIABLES = {"INVOKE_DEBUG", "INVOKE_RUNTIME_CONFIG"}
"""Beside those of its settings."""


class ClusterSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`secondary` is empty where there is one cluster only."""

    context: str
    secondary: str
    kubeconfig: str


class IstioSettings(Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    profile: str
    ingress: Literal["public", "private"]
    download: str


class HelmSettings(Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    download: str


class ClusterNames(Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster and its resource group."""

    group: str
    cluster: str


class NetworkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    prefix: str
    subnet: str
    subnet_prefix: str


class ServiceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    prefix: str
    dns_ip: str


class NodeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    size: str
    count: int
    max_pods: int
    pool: str


class PodSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How pods get their addresses and who enforces policies: AKS's networkPlugin and what goes with it. `prefix`
    is for the overlay."""

    plugin: Literal["azure"]
    mode: Literal["overlay", "node-subnet"]
    dataplane: Literal["cilium", "azure"]
    policy: Literal["cilium", "azure", "calico", "none"]
    prefix: str


Way = Literal["auto", "build", "import"]


class OwnImage(Struct, frozen=True, forbid_unknown_fields=True):
    """An image that the registry is to have: built from the Git repository `git` (its URL, then `#REF` or
    `#REF:FOLDER`), or copied from the image `copy`, if there is one that can stand in for it."""

    git: str
    copy: str = ""

    def tag(self, way: Way) -> str:
        """It is another one for everything that makes another image of it: nodes keep what they have pulled."""
        made_of = {"build": self.git, "import": self.copy, "auto": f"{self.git} {self.copy}"}[way]
        return hashlib.sha256(made_of.encode()).hexdigest()[:12]


class AzureSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the azure labs make. Types only: the rules are in workshop.azure.rules."""

    subscription: str
    tenant: str
    location: str
    tag: str
    primary: ClusterNames
    secondary: ClusterNames
    registry: str
    network: NetworkSettings
    service: ServiceSettings
    kubernetes: str
    nodes: NodeSettings
    pods: PodSettings
    monitoring: bool
    workspace: str
    import_images: tuple[str, ...]
    images: Way
    own_images: dict[str, OwnImage]
    prices: str

    def registry_in(self, subscription: str) -> str:
        """The registry's name."""
        return self.registry or f"workshop{hashlib.sha256(subscription.lower().encode()).hexdigest()[:8]}"

    @property
    def own_targets(self) -> dict[str, str]:
        """By name, what its own images are called in the registry."""
        return {name: f"{name}:{image.tag(self.images)}" for name, image in self.own_images.items()}

    @property
    def pins(self) -> dict[str, str]:
        """By name, what pods pull of them."""
        host = f"{self.registry_in(self.subscription).lower()}.azurecr.io"
        return {name: f"{host}/{target}" for name, target in self.own_targets.items()}


class SandboxSettings(Struct, frozen=True, forbid_unknown_fields=True):
    idle: str
    images: dict[str, str]

    @property
    def idle_seconds(self) -> int:
        return lasting(self.idle)


class ClassroomSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`roster` is a file, relative to the folder of tasks.py. `at_once` members are worked on at the same time, and
    of those in sandboxes the first `measured` have their labs proved."""

    roster: str
    at_once: int
    measured: int


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    target: Literal["sandbox", "azure", "cluster"]
    state: str
    labs: tuple[str, ...]
    cluster: ClusterSettings
    azure: AzureSettings
    istio: IstioSettings
    helm: HelmSettings
    images: dict[str, str]
    sandbox: SandboxSettings
    classroom: ClassroomSettings

    @property
    def pins(self) -> dict[str, str]:
        """The images of the target by name."""
        of_target = {"sandbox": self.sandbox.images, "azure": self.azure.pins, "cluster": {}}
        return {**self.images, **of_target[self.target]}

    @property
    def state_folder(self) -> Path:
        """Absolute; a relative `state` lies in the folder of tasks.py, which `load` knows."""
        return ROOT / Path(self.state).expanduser()

    @property
    def sandbox_folder(self) -> Path:
        return self.state_folder / "sandbox"

    @property
    def kubeconfig(self) -> Path:
        """The workshop's own, with the clusters that the azure labs make."""
        return self.state_folder / "kubeconfig"


LASTING = "a time as 30m, 12h or 2d"


def lasting(text: str) -> int:
    """Seconds of a time as a person says it. Raises ValueError for another."""
    if not (found := re.fullmatch(r"([1-9]\d{0,4})([mhd])", text, re.ASCII)):
        raise ValueError(text)
    return int(found[1]) * {"m": 60, "h": 3600, "d": 86_400}[found[2]]


def read_profile(path: Path) -> dict[str, Any]:
    """A profile's content. Raises UsageError for a file that is missing, broken, or no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_excess(path, text)
        content = yaml.load(text, yaml.CSafeLoader)
    except OSError as error:
        raise UsageError(
            f"read the profile {path}", error.strerror or str(error), next_command="ls config"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"read the profile {path}", f"byte {error.start + 1} of it is not text in UTF-8"
        ) from error
    except yaml.YAMLError as error:
        raise broken_yaml(str(path), error) from error
    if not isinstance(content, dict | None):
        raise UsageError(f"read the profile {path}", "it is not a mapping of settings")
    for name in content or {}:
        if not isinstance(name, str):
            raise no_text(name)
    return content or {}


def refuse_excess(path: Path) -> None:
    """Raises UsageError for a file that stands for too much to be read; none for one that is broken otherwise."""
    with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        _refuse_excess(path, path.read_text(encoding="utf-8"))


def _refuse_excess(path: Path, text: str) -> None:
    """A few lines of YAML can stand for more than fits into any memory, as anchors are used in what other anchors
    name; or be nested deeper than a program can follow. So it is measured by its events, of which there are no more
    than it has signs. Raises UsageError, and YAMLError where it is broken."""
    named: dict[str, tuple[int, int]] = {}
    open_ones: list[tuple[str, int, int]] = []
    for event in yaml.parse(text, yaml.CSafeLoader):
        anchor, values, levels = getattr(event, "anchor", None) or "", 1, 0
        if isinstance(event, yaml.AliasEvent):
            if any(around == anchor for around, _, _ in open_ones):
                raise _excess(path, event, f"the anchor {anchor} is used in what it names")
            (values, levels), anchor = named.get(anchor, (1, 0)), ""
        elif isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((anchor, 1, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, values, levels = open_ones.pop()
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if len(open_ones) + levels > _DEEPEST:
            raise _excess(path, event, f"it is nested more than {_DEEPEST} levels deep")
        if isinstance(event, yaml.CollectionStartEvent):
            continue
        if values > _MOST_VALUES:
            raise _excess(path, event, f"its anchors stand for more than {_MOST_VALUES:,} values")
        if anchor:
            named[anchor] = (values, levels)
        if open_ones:
            around, before, deepest = open_ones[-1]
            open_ones[-1] = (around, before + values, max(deepest, levels + 1))


def _excess(path: Path, event: Any, why: str) -> UsageError:
    where = f"{path}, line {event.start_mark.line + 1}"
    return UsageError(f"read {where}", why, cause="a profile holds some fifty settings: this is none")


def broken_yaml(path: str, error: Any) -> UsageError:
    """A YAML error (PyYAML's, or that of the YAML bundled with Invoke) as file, line and column."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else path
    said = ", ".join(filter(None, (getattr(error, "context", ""), getattr(error, "problem", ""))))
    return UsageError(f"read {where}", said or " ".join(str(error).split()), cause="the YAML is broken")


def load(config: Config) -> Settings:
    """The settings of a task, from its `context.config`. The default profile is read here, not when tasks.py is
    loaded, so that listing and completing do not wait for it."""
    settings = collected(dict(config.items()))
    folder = getattr(config, "_project_prefix", None)  # where Invoke found tasks.py: it may be anybody's
    return replace(settings, state=str(Path(folder, Path(settings.state).expanduser()))) if folder else settings


def collected(given: Mapping[str, Any]) -> Settings:
    """What is `given`, as Invoke read it from the profile, over the default profile, and INVOKE_* variables over
    both. Invoke is not asked to do so: it lays a profile over the variables, and fails where a key has no value."""
    content = read_profile(DEFAULT_PROFILE)
    _lay_over(content, {key: value for key, value in given.items() if key not in _INVOKES_OWN})
    _refuse_unknown_variables(content, given)
    return from_config(_with_variables(content))


def _lay_over(content: dict[str, Any], given: Mapping[str, Any], *path: str) -> None:
    """A key without a value, where settings or a list are kept, gives none: all of them may be commented out."""
    for key, value in given.items():
        default = content.get(key)
        if value is None and isinstance(default, dict | list):
            continue
        if isinstance(default, dict):
            if not isinstance(value, dict):
                raise no_mapping(".".join((*path, key)), value, default)
            _lay_over(default, value, *path, key)
        else:
            content[key] = value


def _refuse_unknown_variables(content: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """A misspelt one would leave a setting as it is, as a misspelt key of a file would."""
    own = {key: value for key, value in given.items() if key in _INVOKES_OWN}
    known = {*_variables(content), *_variables(Config.global_defaults()), *_variables(own), *_INVOKES_VARIABLES}
    if strange := {name for name in os.environ if name.startswith("INVOKE_")} - known:
        raise no_variable(min(strange), sorted(known))


def _variables(content: Mapping[Any, Any], *path: object) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _variables(value, *path, key)
        else:
            yield variable_of(*path, key)


def _with_variables(content: dict[str, Any], *path: str) -> dict[str, Any]:
    return {
        key: _with_variables(value, *path, key)
        if isinstance(value, dict)
        else _given(variable_of(*path, key), value)
        for key, value in content.items()
    }


def _given(variable: str, value: Any) -> Any:
    """A list is given with blanks or commas between its values."""
    given = os.environ.get(variable)
    if given is None:
        return value
    return given.replace(",", " ").split() if isinstance(value, list) else given


def typed_variables() -> dict[str, str]:
    """The variables that this call's settings come from, beside its profile; none of Invoke's own, which may hold a
    password."""
    own = tuple(f"INVOKE_{name.upper()}_" for name in _INVOKES_OWN)
    return {
        name: value
        for name, value in os.environ.items()
        if name == "KUBECONFIG" or (name.startswith("INVOKE_") and not name.startswith(own))
    }


def workshop_version() -> str:
    """Of the checkout, or as it is installed."""
    import tomllib
    from importlib import metadata

    try:
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        try:
            return metadata.version("mesh-workshop")
        except metadata.PackageNotFoundError:
            return ""


def from_config(config: Mapping[str, Any]) -> Settings:
    """All of them together as settings. Raises UsageError naming the key, and the nearest valid one."""
    content = {key: value for key, value in config.items() if key not in _INVOKES_OWN}
    try:
        settings = convert(content, Settings, strict=False)
    except ValidationError as error:
        raise of_validation(error, content, Settings) from error
    for section, pins in (("images", settings.images), ("sandbox.images", settings.sandbox.images)):
        for name, image in pins.items():
            if not image.strip():
                raise Misfit(f"{section}.{name}", image, "the name of an image")
    for name, number, least in (
        ("at_once", settings.classroom.at_once, 1),
        ("measured", settings.classroom.measured, 0),
    ):
        if number < least:
            raise Misfit(f"classroom.{name}", number, f"a whole number, {least} or more")
    try:
        lasting(settings.sandbox.idle)
    except ValueError:
        raise Misfit("sandbox.idle", settings.sandbox.idle, LASTING) from None
    if settings.target == "azure" and not settings.azure.subscription:
        raise UsageError(
            "read the settings",
            "target is azure, but azure.subscription names none",
            cause="the profile does not say where the clusters are to be made",
            next_command="az account list --output table",
        )
    if settings.target == "azure" and settings.azure.subscription == PLACEHOLDER:
        raise Mistake(
            "azure.subscription",
            f"azure.subscription is still the placeholder {PLACEHOLDER}",
            cause="the profile that comes with the workshop names none; put the id of your own subscription there",
            next_command="az account list --output table",
        )
    if settings.target == "cluster" and not settings.cluster.context:
        raise UsageError(
            "read the settings",
            "target is cluster, but cluster.context names no context",
            cause="the profile does not say which cluster the workshop may work on",
            next_command=listing_contexts(settings),
        )
    if settings.target == "cluster" and settings.cluster.secondary == settings.cluster.context:
        raise UsageError(
            "read the settings",
            f"cluster.secondary is {settings.cluster.secondary!r}, as cluster.context is",
            cause="the secondary is another cluster, or none",
            next_command=listing_contexts(settings),
        )
    return settings


def listing_contexts(settings: Settings) -> str:
    """The command that lists what `cluster.context` may name."""
    named = settings.cluster.kubeconfig
    where = [f"--kubeconfig={Path(named).expanduser().absolute()}"] if named else []
    return shlex.join(["kubectl", *where, "config", "get-contexts"])
