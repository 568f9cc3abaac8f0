"""A canary release gives a new version a share of the real traffic and grows it step by
step, independent of how many pods each version has. A DestinationRule names the
versions of a service as subsets; a VirtualService divides the requests between them by
weight. Without one, Kubernetes' service sends requests to all three versions of reviews
in turn. Here reviews moves from v1 to v3, and the way back is as short: `--to v1`.
"""

from labs.istio.stars import stars
from workshop.kubernetes.steps import apply
from workshop.mesh.timeline import Route, WeightedRoute, split
from workshop.runbook import Lab, Option

REVIEWS = WeightedRoute(
    "Move reviews from v1 to v3",
    split("v1", "All requests to v1", 100, 0, 0),
    split("thirds", "A third to each of v1, v2 and v3", 33, 33, 34),
    split("half", "Half to v1, half to v3", 50, 0, 50),
    split("v3", "All requests to v3", 0, 0, 100),
    route=Route("bookinfo", "reviews", ("v1", "v2", "v3")),
    proof=stars,
    start_title="Delete the VirtualService: all three in turn",
    clears=(("VirtualService", "bookinfo", "ratings"),),
)

LAB = Lab(
    name="istio.canary",
    title="Release reviews v3 as a canary",
    text=__doc__,
    needs=("istio.gateway",),
    options=(Option("weights", "Any other split of v1, v2 and v3, in percent: 80,20,0."),),
    parts=(
        apply("Name the versions of all four services as subsets", "subsets.yaml"),
        REVIEWS,
    ),
)
