"""Which mode a workload has: cases/peer_authentication.yaml, and what holds for any policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.cluster import Object
from sandbox.mesh.peer_authentication import PeerMode, peer_mode
from tests.kit.cases import content_of
from tests.kit.laws import LAW

CASES = content_of(Path(__file__).parent / "cases/peer_authentication.yaml")
LABELS = {"app": "one", "v": "1"}


def policies(written: list[dict[str, Any]]) -> list[Object]:
    found = []
    for ((place, spec),) in map(dict.items, written):
        namespace, _, name = place.partition("/")
        found.append({"metadata": {"name": name or "a", "namespace": namespace}, "spec": spec})
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_what_is_found(case: dict[str, Any]) -> None:
    found = peer_mode(policies(case["policies"]), case.get("in", "shop"), LABELS)
    assert found.mode == case["mode"]
    assert "ports" not in case or found.ports == case["ports"]
    assert found.of(7) == found.mode
    assert all(found.of(port) == mode for port, mode in found.ports.items())


MODES = st.sampled_from(["UNSET", "DISABLE", "PERMISSIVE", "STRICT"])
SELECTORS = st.sampled_from([{}, {"app": "one"}, {"app": "two"}, LABELS])
SPECS = st.builds(
    lambda mode, labels: {"mtls": {"mode": mode}, "selector": {"matchLabels": labels}}, MODES, SELECTORS
)
PLACES = st.sampled_from(["shop", "istio-system", "other"])
POLICIES = st.lists(st.builds(lambda place, spec: {place: spec}, PLACES, SPECS), max_size=6).map(policies)


@LAW
@given(POLICIES)
def test_others_say_nothing_and_the_youngest_of_a_level_neither(found: list[Object]) -> None:
    mode = peer_mode(found, "shop", LABELS)
    assert peer_mode([one for one in found if one["metadata"]["namespace"] != "other"], "shop", LABELS) == mode
    assert peer_mode([*found, *found[::-1]], "shop", LABELS) == mode
    assert PeerMode(mode.mode).of(80) == mode.of(80)
