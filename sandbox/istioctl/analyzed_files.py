"""Objects out of files for `analyze`: what a cluster would say of them (IST0106), what would become of them there.

Objects of the cluster have been through it. Imported when there are files: it brings all of the mesh with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import yaml

from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.istioctl.analyzers import Message, labels_of, message
from sandbox.istioctl.api_client import Client
from sandbox.istioctl.command_line import FileError, IstioctlError
from sandbox.istioctl.manifests import crds, refused_crds
from sandbox.mesh.gateway_names import Entrance, Resolve
from sandbox.mesh.istio import CONTAINER
from sandbox.mesh.validation import find_problems
from sandbox.schema import custom_kinds, decode, types, validate

_OWN_GROUPS = ".istio.io"


def read_objects(names: Iterable[str]) -> Iterator[Object]:
    """The objects of YAML files, or of what comes in for `-`. Raises FileError."""
    for name in names:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
            documents = list(yaml.safe_load_all(text))
        except OSError as error:
            raise FileError(f"{name}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise FileError(f"{name} is not YAML: {error}") from error
        for obj in filter(None, documents):
            if not _is_object(obj):
                raise FileError(f"{name}: not a Kubernetes object: it needs an apiVersion, a kind and a name")
            yield obj


def _is_object(obj: object) -> bool:
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
        return False
    return all(
        isinstance(text, str) for text in (obj.get("apiVersion"), obj.get("kind"), obj["metadata"].get("name"))
    )


def resolver(client: Client | None) -> Resolve:
    """Which names of other clusters a cluster knows: only its own webhook can say, of an entry that is not kept.
    Without a cluster there are none."""

    @cache
    def resolve(name: str) -> Entrance | None:
        if client is None:
            return None
        spec = {"hosts": [name], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "resolution": "DNS"}
        try:
            client.try_create("networking.istio.io/v1", "ServiceEntry", client.namespace, "analyze", {"spec": spec})
        except IstioctlError:
            return None
        return Entrance("", frozenset())

    return resolve


def as_in_cluster(
    obj: Object, namespace: str, kinds: Iterable[tuple[str, str]], resolve: Resolve
) -> tuple[list[Message], list[Object]]:
    """What a cluster would say of it (which knows names of other clusters by `resolve`), and what of these kinds
    would be there then to be looked at."""
    if obj["kind"] != "Namespace":
        obj["metadata"].setdefault("namespace", namespace)
    problems, sound = _problems(obj, resolve)
    messages = [message("IST0106", obj, problem=problem) for problem in problems]
    group, kind = obj["apiVersion"].rpartition("/")[0], obj["kind"]
    if not sound or (group, kind) not in [(of.rpartition("/")[0], name) for of, name in kinds]:
        return messages, []
    return messages, [obj, _pod_of(obj)] if kind == "Deployment" else [obj]


def _pod_of(deployment: Object) -> Object:
    """One of the pods it would have, with the sidecar that it would get: a subset may select it."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    return _pod(metadata["name"], metadata["namespace"], labels_of({"metadata": {}, **template}))


def default_gateway(namespace: str) -> Object:
    """The pod that the real one, too, takes for granted when it knows no cluster: the ingress gateway's."""
    return _pod("istio-ingressgateway-dummypod", namespace, {"istio": "ingressgateway"})


def _pod(name: str, namespace: str, labels: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": CONTAINER}]}}


def _problems(obj: Object, resolve: Resolve) -> tuple[list[str], bool]:
    """What is wrong with an object, and whether it has the shape that the other analyzers rely on.

    Of kinds that are not Istio's only the shape is looked at. Fields that are not known are taken out.
    """
    api_version, kind = obj["apiVersion"], obj["kind"]
    group, _, version = api_version.rpartition("/")
    known = _kinds().get((api_version, kind))
    if known is None and group.endswith(_OWN_GROUPS):
        return [f'no matches for kind "{kind}" in version "{api_version}"'], False
    resource = known.resource if known else Resource(group, version, "", kind, namespaced=True)
    schema = known.type if known else types.of_kind(api_version, kind)
    if schema is None:
        obj.setdefault("spec", {})
        return [], True
    try:
        unknown = decode.decode(resource, schema, obj)
    except ApiError as error:
        return [error.message], False
    causes = validate.validate(schema, obj)
    if causes:
        return [*unknown, *(f"{cause.field}: {cause.message}" for cause in causes)], False
    obj.setdefault("spec", {})
    return [*unknown, *find_problems(kind, obj, resolve)] if known else [], True


@cache
def _kinds() -> dict[tuple[str, str], custom_kinds.CustomKind]:
    served = (kind for one in (*crds(), *refused_crds()) for kind in custom_kinds.establish(one))
    return {(kind.resource.api_version, kind.resource.kind): kind for kind in served}
