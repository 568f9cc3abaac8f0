"""CustomResourceDefinitions: the kinds they add, and whether they are sound."""

from __future__ import annotations

from dataclasses import dataclass

from ..cluster import Object, Resource
from . import types
from .types import Type


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
    spec, made = crd["spec"], []
    names = spec["names"]
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        resource = Resource(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            spec["scope"] == "Namespaced",
            names.get("singular", names["kind"].lower()),
            tuple(names.get("shortNames", ())),
            tuple(names.get("categories", ())),
            tuple(version.get("subresources", {})),
        )
        made.append(
            CustomKind(
                resource,
                Type(types.ANY, open=True),
                bool(version.get("storage")),
                tuple(version.get("additionalPrinterColumns", ())),
            )
        )
    return made
