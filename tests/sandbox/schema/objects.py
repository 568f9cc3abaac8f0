"""Objects and kinds for these tests."""

from __future__ import annotations

from typing import Any

from sandbox.api.kinds import BUILT_IN
from sandbox.core.cluster import Object, Resource
from sandbox.schema import custom_kinds
from sandbox.schema.types import Type

RESOURCES: dict[str, Resource] = {resource.key: resource for resource in BUILT_IN}
DEPLOYMENTS = RESOURCES["deployments.apps"]
PODS = RESOURCES["pods"]
SERVICES = RESOURCES["services"]


def deployment(**spec: Any) -> Object:
    """A Deployment as a person would write it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{"name": "web", "image": "web:1", "ports": [{"containerPort": 80}]}],
                },
            },
            **spec,
        },
    }


def pod(**spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "web:1"}], **spec},
    }


def service(**spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }


def definition(schema: Object, **version: Any) -> Object:
    """A CRD of fruits whose spec has `schema`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "fruits.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "fruits", "kind": "Fruit"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}},
                    **version,
                }
            ],
        },
    }


def custom(schema: Object) -> tuple[Resource, Type]:
    """The kind of fruits whose spec has `schema`."""
    (kind,) = custom_kinds.establish(definition(schema))
    return kind.resource, kind.type


def fruit(spec: Any) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Fruit", "metadata": {"name": "apple"}, "spec": spec}
