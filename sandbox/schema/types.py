"""The shape of every kind: one small graph of `Type` that all of this package works on.

Built-in kinds come from `data/kubernetes.json` (written by tools/extract_schema.py), kinds of CRDs from their
OpenAPI schema; after that nobody needs to know which is which. Types are built when first asked for, since
one run of the sandbox meets a third of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

OBJECT, MAP, LIST, ANY = "object", "map", "list", "any"
"""Forms of a type with something inside (ANY: anything); the other forms are scalars:
string, boolean, int32, int64, integer, double, number, bytes, date-time, quantity, int-or-string."""

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@dataclass(slots=True, eq=False)
class Type:
    """What may stand at one place of an object."""

    form: str
    name: str = ""
    """The name of its OpenAPI component, for built-in types."""
    fields: dict[str, Field] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    element: Type | None = None
    """Of a list or a map; of ANY, what it must be when it is an object."""
    atomic: bool = False
    """Owned and replaced as a whole by server-side apply."""
    keys: tuple[str, ...] = ()
    """The fields that identify an item, in a list of list type `map`."""
    is_set: bool = False
    open: bool = False
    """Fields that are not declared are kept (x-kubernetes-preserve-unknown-fields)."""
    schema: Mapping[str, Any] | None = None
    """The OpenAPI schema this was made from, for types of CRDs."""


@dataclass(slots=True, eq=False)
class Field:
    """A field of an object: its type, and how strategic merge patches treat it."""

    type: Type
    default: Any = None
    enum: tuple[str, ...] = ()
    """Of the field, or of its items where it is a list."""
    patch: tuple[str, ...] = ()
    """`merge`, `replace`, `retainKeys`."""
    patch_key: str = ""


@cache
def packaged() -> dict[str, Any]:
    """The extracted facts: `kinds` (`apps/v1 Deployment` -> type name) and `types`."""
    text = resources.files(__package__).joinpath("data/kubernetes.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


_PREFIXES = (
    "io.k8s.api.",
    "io.k8s.apiextensions-apiserver.pkg.apis.",
    "io.k8s.apimachinery.pkg.apis.",
)


@cache
def short_name(name: str) -> str:
    """A type's name as tables of facts about types have it: `core.v1.Pod`, `meta.v1.ObjectMeta`."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def of_kind(api_version: str, kind: str) -> Type | None:
    """The type of a built-in kind; None when it is not one."""
    name = packaged()["kinds"].get(f"{api_version} {kind}")
    return named(name) if name else None


def leading_to(kind: Type, wanted: Callable[[Type], bool], but: Collection[str] = ()) -> dict[str, Type]:
    """The fields of `kind`, and their types, at or below which there is a type that is `wanted`."""

    def leads(below: Type, seen: set[Type]) -> bool:
        while below.element is not None:
            below = below.element
        if below in seen or below.form != OBJECT:
            return False
        seen.add(below)
        return wanted(below) or any(
            leads(field.type, seen) for key, field in below.fields.items() if key not in but
        )

    return {key: field.type for key, field in kind.fields.items() if key not in but and leads(field.type, set())}


_types: dict[str, Type] = {}


def named(name: str) -> Type:
    """A built-in type by its OpenAPI component name."""
    known = _types.get(name)
    if known is not None:
        return known
    facts = packaged()["types"][name]
    made = Type(facts.get("scalar", OBJECT), name, required=tuple(facts.get("required", ())))
    made.atomic = facts.get("atomic", False)
    _types[name] = made  # before its fields: some types contain themselves
    if "object" in facts:
        made.element = named(facts["object"])
    made.fields.update((key, _field(value)) for key, value in facts.get("fields", {}).items())
    return made


def _field(facts: str | dict[str, Any]) -> Field:
    if isinstance(facts, str):
        return Field(_parse(facts))
    made = Field(
        _parse(facts["type"]),
        facts.get("default"),
        tuple(facts.get("enum", ())),
        tuple(facts["patch"].split(",")) if "patch" in facts else (),
        facts.get("patchKey", ""),
    )
    inner = made.type
    inner.keys = tuple(facts.get("keys", ()))
    inner.is_set = facts.get("list") == "set"
    if inner.form == LIST:
        inner.atomic = not inner.keys and not inner.is_set
    elif facts.get("atomic"):
        # A type used in other places too: only here it is atomic.
        made.type = Type(inner.form, inner.name, inner.fields, inner.required, inner.element, atomic=True)
    return made


def _parse(notation: str) -> Type:
    """`[]T`, `{}T`, a scalar or the name of a type."""
    prefix, rest = notation[:2], notation[2:]
    if prefix == "[]":
        return Type(LIST, element=_parse(rest), atomic=True)
    if prefix == "{}":
        return Type(MAP, element=_parse(rest))
    if "." in notation:
        return named(notation)
    return _scalar(notation)


@cache
def _scalar(form: str) -> Type:
    return Type(form)
