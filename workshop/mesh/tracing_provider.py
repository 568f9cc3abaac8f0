"""Where the mesh's spans go: an extension provider in the mesh's configuration (the ConfigMap `istio`), which a
Telemetry resource then names (https://istio.io/latest/docs/tasks/observability/distributed-tracing/).

Istio's page has `istioctl install -f` write it. That would install an Istio anew that may be others', and have
istiod restart; istiod reads the ConfigMap again by itself. So one line is added to what is there, at the front of
the list of providers, or of the text where there is no list; and that line is taken out again. All other text stays
as it was, however it ends, and a person does the same by `sed`. Where a list is written otherwise than block by
block, as Istio and kubectl write it, the text is made anew from its YAML.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.manifests import ISTIO_NAMESPACE, Object
from workshop.runbook.errors import WorkshopError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop.runbook.run import Run

NAME, KEY, FIELD = "istio", "mesh", "extensionProviders"
_LIST = re.compile(rf"^{FIELD}: *\n(?=( *- ))", re.MULTILINE)


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
    def written(self) -> str:
        """That as YAML, within a line."""
        return f"{{name: {self.name}, opentelemetry: {{service: {self.service}, port: {self.port}}}}}"


def with_provider(mesh: str, provider: Provider) -> str:
    """Raises ValueError for what is no mesh configuration."""
    config = _parsed(mesh)
    wanted = {**config, FIELD: [provider.entry, *_others(config, provider)]}
    if FIELD not in config:
        return _that_says(wanted, f"{FIELD}: [{provider.written}]\n{mesh}")
    return _that_says(wanted, _LIST.sub(lambda found: f"{found[0]}{found[1]}{provider.written}\n", mesh, count=1))


def without_provider(mesh: str, provider: Provider) -> str:
    """Raises ValueError."""
    config = _parsed(mesh)
    left = _others(config, provider)
    wanted = {key: value for key, value in {**config, FIELD: left}.items() if key != FIELD or left}
    return _that_says(wanted, re.sub(rf"(?m)^.*{re.escape(provider.written)}.*\n", "", mesh, count=1))


def _that_says(wanted: Mapping[str, Any], text: str) -> str:
    """The text, if it says this and no more; else one made of it."""
    import yaml

    with contextlib.suppress(ValueError):
        if _parsed(text) == wanted:
            return text
    return yaml.safe_dump(dict(wanted), sort_keys=False)


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
        config = yaml.load(mesh, yaml.CSafeLoader) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {error}") from error
    if not isinstance(config, dict) or not isinstance(listed := config.get(FIELD) or [], list):
        raise ValueError("it is no mesh configuration")
    if not all(isinstance(one, dict) for one in listed):
        raise ValueError(f"{FIELD} is no list of providers")
    return config


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
    """What a person types to have it there. What cannot be read is not written either."""
    list_begins = f"^{FIELD}: *$"
    add = (
        f"if grep -q '{list_begins}' mesh.yaml",
        f"then sed '/{list_begins}/{{\nn\ns/^ *- /&{provider.written}\\\n&/\n}}' mesh.yaml",
        f"else echo '{FIELD}: [{provider.written}]'; cat mesh.yaml",
        "fi > traced.yaml",
    )
    return (" &&\n".join((*_without(provider), "\n".join(add), *_patch("traced.yaml"))),)


def commands_without(provider: Provider) -> tuple[str, ...]:
    """What a person types to take it out again."""
    return (" &&\n".join((*_without(provider), *_patch("mesh.yaml"))),)


_WHERE = f"configmap {NAME} -n {ISTIO_NAMESPACE}"


def _without(provider: Provider) -> tuple[str, ...]:
    get = f"kubectl get {_WHERE} -o jsonpath='{{.data.{KEY}}}' > was.yaml"
    return get, f"sed '/{{name: {provider.name}, /d' was.yaml > mesh.yaml"


def _patch(file: str) -> tuple[str, ...]:
    made = f"kubectl create {_WHERE} --from-file={KEY}={file} \\\n    --dry-run=client -o json > mesh.json"
    return made, f"kubectl patch {_WHERE} --type=merge \\\n    --patch-file=mesh.json"
