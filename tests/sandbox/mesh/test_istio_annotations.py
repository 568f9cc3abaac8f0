"""Annotations of services that Istio would act on: what the sandbox does not do is refused, not ignored."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.core.cluster import ApiError

from .world import World

EXPORT_TO = "networking.istio.io/exportTo"
DISTRIBUTION = "networking.istio.io/traffic-distribution"


def write(world: World, key: str, annotations: dict[str, str], **more: Any) -> None:
    """Make an object without annotations, then add these."""
    namespace = None if key == "namespaces" else "default"
    where = {"namespace": namespace} if namespace else {}
    world.cluster.create(key, {"metadata": {"name": "one", **where}, **more}, manager="test")

    def annotate(obj: Any) -> None:
        obj["metadata"]["annotations"] = annotations

    world.cluster.edit(key, namespace, "one", annotate, manager="test")


@pytest.mark.parametrize("value", [".", "~", "shop", "., shop"])
async def test_a_service_is_exported_to_everybody(world: World, value: str) -> None:
    with pytest.raises(ApiError) as refused:
        write(world, "services", {EXPORT_TO: value}, spec={"ports": [{"port": 80}]})
    why = f"metadata.annotations[{EXPORT_TO}]: {value}: not supported by the sandbox"
    assert (refused.value.code, refused.value.message) == (403, f'services "one" is forbidden: {why}')


@pytest.mark.parametrize("annotations", [{EXPORT_TO: "*"}, {EXPORT_TO: "shop, *"}, {EXPORT_TO: ""}, {"note": "."}])
async def test_what_says_just_that_may_be_there(world: World, annotations: dict[str, str]) -> None:
    write(world, "services", annotations, spec={"ports": [{"port": 80}]})
    assert world.cluster.get("services", "default", "one")["metadata"]["annotations"] == annotations


@pytest.mark.parametrize(
    ("key", "spec"),
    [
        ("services", {"ports": [{"port": 80}]}),
        ("namespaces", {}),
        (
            "serviceentries.networking.istio.io",
            {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
        ),
    ],
)
async def test_no_endpoint_is_nearer_than_another(world: World, key: str, spec: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match=r"traffic-distribution\]: PreferClose: not supported by the sandbox"):
        write(world, key, {DISTRIBUTION: "PreferClose"}, spec=spec)
