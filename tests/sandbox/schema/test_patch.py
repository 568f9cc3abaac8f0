from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.core.cluster import ApiError
from sandbox.schema import patch
from tests.kit.cases import cases

from .objects import RESOURCES, custom, fruit, type_of


@cases(__file__, "patches")
def test_patches(of: str, case: Any) -> None:
    live, change = copy.deepcopy(case["live"]), copy.deepcopy(case["change"])
    kinds = {"merge": patch.merge_patch, "json": patch.json_patch}
    apply: Any = kinds.get(of, lambda *both: patch.strategic_merge(type_of(RESOURCES[of]), *both))
    if "refused" in case:
        with pytest.raises(ApiError) as caught:
            apply(live, change)
        assert f"{caught.value.code} {caught.value.reason}" == case["refused"]
        assert case.get("says", "") in caught.value.message
    else:
        assert apply(live, change) == case["makes"]
    assert (live, change) == (case["live"], case["change"]), "neither is changed"


def test_values_of_a_json_patch_are_not_shared_with_what_it_makes() -> None:
    operation: Any = {"op": "add", "path": "/a", "value": {"b": 1}}
    made = patch.json_patch({}, [operation])
    made["a"]["b"] = 2
    assert operation["value"] == {"b": 1}


def test_a_strategic_merge_is_for_built_in_kinds() -> None:
    _, kind = custom({"type": "object"})
    with pytest.raises(ApiError) as caught:
        patch.strategic_merge(kind, fruit({}), {})
    assert caught.value.code == 415
