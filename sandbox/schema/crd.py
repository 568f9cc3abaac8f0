"""CustomResourceDefinitions: the kinds they add, and the `Type` of each version from its OpenAPI schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.core.cluster import Object, Resource
from sandbox.schema import types
from sandbox.schema.types import ANY, LIST, MAP, OBJECT, OBJECT_META, Field, Type

Schema = Mapping[str, Any]

_SCALARS = ("string", "integer", "number", "boolean")


@dataclass(frozen=True, slots=True)
class CustomKind:
    """One served version of a custom kind."""

    resource: Resource
    type: Type
    storage: bool
    columns: tuple[Object, ...]
    """The version's additionalPrinterColumns."""


def establish(crd: Object) -> list[CustomKind]:
    """The versions a CRD serves, the preferred one first. The CRD has passed `validate.check`."""
    spec = crd["spec"]
    names = spec["names"]
    made = [
        CustomKind(
            Resource(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                singular=names.get("singular") or names["kind"].lower(),
                short_names=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                subresources=tuple(version.get("subresources") or ()),
            ),
            root_type(version["schema"]["openAPIV3Schema"]),
            bool(version.get("storage")),
            tuple(version.get("additionalPrinterColumns") or ()),
        )
        for version in spec["versions"]
        if version.get("served")
    ]
    return sorted(made, key=lambda each: version_order(each.resource.version))


def version_order(version: str) -> tuple[int, int, int, str]:
    """A key that sorts versions as discovery does: v2, v1, v1beta2, v1beta1, v1alpha1, others by name."""
    rest = version.removeprefix("v")
    for rank, word in enumerate(("", "beta", "alpha")):
        major, found, minor = rest.partition(word) if word else (rest, "", "")
        if rest != version and major.isdigit() and bool(word) == bool(found) and (minor.isdigit() or not word):
            return rank, -int(major), -int(minor or 0), version
    return 3, 0, 0, version


def root_type(schema: Schema) -> Type:
    """The type of a kind's objects: what the schema says, and the fields every object has."""
    made = type_from(schema)
    return Type(OBJECT, fields={**made.fields, **_object_fields()}, open=made.open, schema=schema)


def _object_fields() -> dict[str, Field]:
    text = Type("string")
    return {"apiVersion": Field(text), "kind": Field(text), "metadata": Field(types.named(OBJECT_META))}


def type_from(schema: Schema) -> Type:
    if schema.get("x-kubernetes-int-or-string"):
        return Type("int-or-string", schema=schema)
    kind = schema.get("type", "")
    if kind == "array":
        items = schema.get("items")
        list_type = schema.get("x-kubernetes-list-type", "atomic")
        return Type(
            LIST,
            element=type_from(items) if isinstance(items, Mapping) else Type(ANY, open=True, schema={}),
            atomic=list_type == "atomic",
            keys=tuple(schema.get("x-kubernetes-list-map-keys", ())) if list_type == "map" else (),
            is_set=list_type == "set",
            schema=schema,
        )
    if kind in _SCALARS:
        return Type(kind, schema=schema)
    preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    properties = schema.get("properties") or {}
    if kind != "object" and not properties:
        return Type(ANY, open=True, schema=schema)
    atomic = schema.get("x-kubernetes-map-type") == "atomic"
    values = schema.get("additionalProperties")
    if values and not properties:
        element = type_from(values) if isinstance(values, Mapping) else Type(ANY, open=True, schema={})
        return Type(MAP, element=element, atomic=atomic, schema=schema)
    fields = {key: Field(type_from(value), value.get("default")) for key, value in properties.items()}
    if schema.get("x-kubernetes-embedded-resource"):
        fields |= _object_fields()
    return Type(OBJECT, fields=fields, atomic=atomic, open=preserve, schema=schema)
