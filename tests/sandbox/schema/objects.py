"""Objects and kinds for these tests."""

from __future__ import annotations

from typing import Any

from sandbox.api.kinds import BUILT_IN
from sandbox.core.cluster import Object, Resource
from sandbox.schema import custom_kinds
from sandbox.schema.types import Type, of_kind

RESOURCES: dict[str, Resource] = {resource.key: resource for resource in BUILT_IN}
DEPLOYMENTS = RESOURCES["deployments.apps"]
PODS = RESOURCES["pods"]
SERVICES = RESOURCES["services"]


def deployment(**spec: Any) -> Object:
    """A Deployment as a person would write it."""
    ports = [{"containerPort": 80}]
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1", "ports": ports}]},
    }
    return _web(DEPLOYMENTS, {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec})


def pod(**spec: Any) -> Object:
    return _web(PODS, {"containers": [{"name": "web", "image": "web:1"}], **spec})


def service(**spec: Any) -> Object:
    return _web(SERVICES, {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec})


def _web(resource: Resource, spec: Object) -> Object:
    metadata = {"name": "web", "namespace": "default"}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


def type_of(resource: Resource) -> Type:
    found = of_kind(resource.api_version, resource.kind)
    assert found is not None
    return found


SOUND = {"deployments.apps": deployment, "pods": pod, "services": service}


def definition(schema: Object, **version: Any) -> Object:
    """A CRD of fruits whose spec has `schema`."""
    whole = {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "fruits.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "fruits", "kind": "Fruit"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": whole, **version}],
        },
    }


def custom(schema: Object) -> tuple[Resource, Type]:
    """The kind of fruits whose spec has `schema`."""
    (kind,) = custom_kinds.establish(definition(schema))
    return kind.resource, kind.type


def fruit(spec: Any) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Fruit", "metadata": {"name": "apple"}, "spec": spec}
