"""The OpenAPI documents kubectl reads: for `explain`, for patch strategies, for what the server supports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..cluster import Resource
from .types import Type

Document = dict[str, Any]


def openapi_v3_index(resources: Iterable[Resource]) -> Document:
    """What /openapi/v3 answers: where each group version's document is (with a hash, so it can be cached)."""
    return {"paths": {}}


def openapi_v3(
    group_version: str, resources: Iterable[Resource], crd_types: Mapping[Resource, Type] | None = None
) -> Document:
    """What /openapi/v3/apis/GROUP/VERSION (or /openapi/v3/api/v1) answers. `group_version` as `apps/v1`."""
    return {}


def openapi_v2(resources: Iterable[Resource], crd_types: Mapping[Resource, Type] | None = None) -> Document:
    """What /openapi/v2 answers."""
    return {}
