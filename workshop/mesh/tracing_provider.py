"""Where the mesh's spans go: an extension provider in the mesh's configuration (the ConfigMap `istio`), which a
Telemetry resource then names (https://istio.io/latest/docs/tasks/observability/distributed-tracing/).

Istio's page has `istioctl install -f` write it. That would install an Istio anew that may be others', and have
istiod restart; istiod reads the ConfigMap again by itself. So one entry is added to what is there, and taken out
again: text that nobody else has touched is afterwards what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.manifests import ISTIO_NAMESPACE, Object
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop.runbook.run import Run

NAME, KEY, FIELD = "istio", "mesh", "extensionProviders"
_NO_END = "  #\n"


@dataclass(frozen=True, slots=True)
class Provider:
    """OpenTelemetry's protocol, over gRPC."""

    name: str
    service: str
    port: int

    @property
    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "opentelemetry": {"service": self.service, "port": self.port}}

    @property
    def block(self) -> str:
        """What the mesh's configuration has of it where there is no other."""
        return (
            f"{FIELD}:\n- name: {self.name}\n  opentelemetry:\n    port: {self.port}\n    service: {self.service}\n"
        )


def with_provider(mesh: str, provider: Provider) -> str:
    """Raises ValueError for what is no mesh configuration."""
    config = _parsed(mesh)
    if config.get(FIELD):
        return _dumped({**config, FIELD: [*_others(config, provider), provider.entry]})
    if FIELD in config:
        return _dumped({**config, FIELD: [provider.entry]})
    # Without an end of line a comment takes its place, so that it is known what was there before.
    return f"{mesh}{provider.block}" if not mesh or mesh.endswith("\n") else f"{mesh}{_NO_END}{provider.block}"


def without_provider(mesh: str, provider: Provider) -> str:
    """Raises ValueError."""
    if mesh.endswith(provider.block):
        return mesh.removesuffix(provider.block).removesuffix(_NO_END)
    config = _parsed(mesh)
    left = _others(config, provider)
    return _dumped({key: value for key, value in {**config, FIELD: left}.items() if key != FIELD or left})


def is_there(mesh: str, provider: Provider) -> bool:
    """As it is to be. Raises ValueError."""
    return provider.entry in (_parsed(mesh).get(FIELD) or ())


def is_named(mesh: str, provider: Provider) -> bool:
    return any(one.get("name") == provider.name for one in _parsed(mesh).get(FIELD) or ())


def _others(config: Mapping[str, Any], provider: Provider) -> list[Any]:
    return [one for one in config.get(FIELD) or () if one.get("name") != provider.name]


def _parsed(mesh: str) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(mesh) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get(FIELD) or [], list):
        raise ValueError("it is no mesh configuration")
    return config


def _dumped(config: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False)


def _reference() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": ISTIO_NAMESPACE}}


def _mesh(found: Object | None) -> str:
    return str(((found or {}).get("data") or {}).get(KEY) or "")


async def differences(run: Run, provider: Provider, wanted: bool) -> tuple[Difference, ...]:
    from workshop.kubernetes.cluster_facts import look_for

    mesh = _mesh((await look_for(run, (_reference(),))).find(_reference()))
    path = f"data.{KEY}.{FIELD}[{provider.name}]"
    try:
        if wanted and not is_there(mesh, provider):
            return (Difference(f"ConfigMap {ISTIO_NAMESPACE}/{NAME}", path, "present", ABSENT),)
        if not wanted and is_named(mesh, provider):
            return (Difference(f"ConfigMap {ISTIO_NAMESPACE}/{NAME}", path, ABSENT, "present"),)
    except ValueError:
        pass  # whoever is to change it says so
    return ()


async def switch(run: Run, provider: Provider, *, on: bool) -> None:
    """Raises WorkshopError where there is no such configuration."""
    from workshop.kubernetes.kubectl import Kubectl

    kubectl = Kubectl.of(run)
    live = await kubectl.find("ConfigMap", ISTIO_NAMESPACE, NAME)
    if live is None and not on:
        return
    mesh = _mesh(live)
    try:
        if live is None:
            raise ValueError("it is not there")
        if on == (is_there(mesh, provider) if on else is_named(mesh, provider)):
            return
        changed = with_provider(mesh, provider) if on else without_provider(mesh, provider)
    except ValueError as error:
        raise WorkshopError(
            f"read the mesh's configuration (ConfigMap {ISTIO_NAMESPACE}/{NAME})",
            str(error),
            next_command=kubectl.typed(f"kubectl get configmap {NAME} -n {ISTIO_NAMESPACE} -o yaml"),
        ) from error
    await kubectl.merge_patch(_reference(), {"data": {KEY: changed}})


def commands(provider: Provider) -> tuple[str, ...]:
    """What a person types to have it there, where no other is."""
    where = f"configmap {NAME} -n {ISTIO_NAMESPACE}"
    return (
        f"kubectl get {where} -o jsonpath='{{.data.{KEY}}}' > mesh.yaml",
        f"cat >> mesh.yaml <<'EOF'\n{provider.block}EOF",
        f"kubectl create {where} --from-file={KEY}=mesh.yaml --dry-run=client -o json > mesh.json",
        f"kubectl patch {where} --type=merge --patch-file=mesh.json",
    )
