"""Rules of ConfigMaps and Secrets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.findings import Cause, bad_value, forbidden, required, too_long

_LIMIT = 1024 * 1024
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def config_map(obj: Object, old: Object | None) -> Iterator[Cause]:
    text, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for kind, data in (("data", text), ("binaryData", binary)):
        for key in data:
            if wrong := names.config_key(key):
                yield bad_value(f"{kind}[{key}]", key, wrong)
    for key in text:
        if key in binary:
            yield bad_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    if sum(map(len, chain(text.values(), binary.values()))) > _LIMIT:
        yield too_long("", _LIMIT)
    yield from _immutable(obj, old, "data", "binaryData")


def secret(obj: Object, old: Object | None) -> Iterator[Cause]:
    data = obj.get("data") or {}
    for key in data:
        if wrong := names.config_key(key):
            yield bad_value(f"data[{key}]", key, wrong)
    if sum(map(len, data.values())) * 3 // 4 > _LIMIT:
        yield too_long("data", _LIMIT)
    for key in _NEEDED.get(obj.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")
    if old is not None and obj.get("type") != old.get("type"):
        yield bad_value("type", obj.get("type"), "field is immutable")
    yield from _immutable(obj, old, "data")


def _immutable(obj: Object, old: Object | None, *parts: str) -> Iterator[Cause]:
    if old is None or not old.get("immutable"):
        return
    detail = "field is immutable when `immutable` is set"
    if not obj.get("immutable"):
        yield forbidden("immutable", detail)
    for part in parts:
        if (obj.get(part) or {}) != (old.get(part) or {}):
            yield forbidden(part, detail)
