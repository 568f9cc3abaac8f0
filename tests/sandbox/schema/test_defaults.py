from __future__ import annotations

import copy
from typing import Any

from sandbox.schema.defaults import default
from tests.kit.cases import cases

from .objects import RESOURCES, SOUND, custom, fruit, type_of


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(contains(whole.get(key), value) for key, value in part.items()) and bool(part or not whole)
    if isinstance(part, list) and isinstance(whole, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


@cases(__file__, "defaults")
def test_defaults(of: str, case: Any) -> None:
    kind = type_of(RESOURCES[of])
    obj = copy.deepcopy(case["object"]) if "object" in case else SOUND[of](**case["spec"])
    default(kind, obj)
    assert contains(obj, case["makes"]), obj
    once = copy.deepcopy(obj)
    default(kind, obj)
    assert obj == once, "defaulting again changes nothing"


def test_custom_defaults_reach_into_lists_and_maps_and_replace_null() -> None:
    item = {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}
    _, kind = custom(
        {
            "type": "object",
            "properties": {
                "colour": {"type": "string", "default": "red"},
                "maybe": {"type": "string", "nullable": True, "default": "x"},
                "inner": {"default": {}, **item},
                "list": {"type": "array", "items": item},
                "map": {"type": "object", "additionalProperties": item},
            },
        }
    )
    obj = fruit({"colour": None, "maybe": None, "list": [{}, {"size": 2}], "map": {"a": {}}})
    default(kind, obj)
    assert obj["spec"] == {
        "colour": "red",
        "maybe": None,
        "inner": {"size": 1},
        "list": [{"size": 1}, {"size": 2}],
        "map": {"a": {"size": 1}},
    }
