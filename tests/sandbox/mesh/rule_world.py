"""A world for many rules one after the other: two services, two versions of one, a client in the mesh."""

from __future__ import annotations

from typing import Any

from .world import Client, World, eventually

PORT = 9080


class RuleWorld:
    """`world` with services `reviews` (pods `reviews-v1`, `reviews-v2`, a subset for each) and `other`."""

    def __init__(self, world: World, client: Client) -> None:
        self.world, self.client = world, client
        self._applied = 0

    @staticmethod
    async def of(world: World) -> RuleWorld:
        service = world.service("reviews", {"http": PORT})
        world.service("other", {"http": PORT})
        for version in ("v1", "v2"):
            await world.pod(f"reviews-{version}", "reviews", version)
        await world.pod("other", "other", "other")
        proxy = await world.sidecar("client", app="client")
        subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
        world.apply("destinationrules", "reviews", {"host": "reviews", "subsets": subsets})
        return RuleWorld(world, world.client(proxy, service["spec"]["clusterIP"], PORT))

    async def rules(self, *http: dict[str, Any]) -> None:
        """Have `reviews` go by these rules; returns when they are in effect."""
        self._applied += 1
        mark = str(self._applied)
        told = {"match": [{"uri": {"exact": f"/applied/{mark}"}}], "directResponse": {"status": 299}}
        self.world.apply("virtualservices", "reviews", {"hosts": ["reviews"], "http": [told, *http]})

        async def in_effect() -> bool:
            return (await self.client.get(f"/applied/{mark}", "reviews"))[0] == 299

        await eventually(in_effect)
        self.world.received.clear()

    def received(self, pod: str) -> list[tuple[str, str]]:
        return self.world.received.get(pod, [])


def to(subset: str = "v1", **more: Any) -> dict[str, Any]:
    """A rule that sends to one version of `reviews`."""
    return {"route": [{"destination": {"host": "reviews", "subset": subset}}], **more}
