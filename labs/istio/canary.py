"""A canary release gives a new version a share of the real traffic and grows it step by
step, independent of how many pods each version has. A DestinationRule names the
versions of a service as subsets; a VirtualService divides the requests between them by
weight. Without one, requests for reviews go to all of its pods: Istio picks two of them
and takes the one that has fewer requests open. So of pages that come one by one each
version makes a third; of many at once v1 makes more, which is the fastest, as it asks
nobody for ratings. Here reviews moves from v1 to v3, and the way back is as short:
`--to v1`.

`--promote v3` lets the figures decide: at 5, 25, 50 and 100 % the sidecar of productpage
tells how often either version failed and how long it took, and when v3 is worse than v1,
all requests go back to v1 at once. Two bad releases are there to see that: `erring`, which
answers with errors (the page hides some of them by asking again), and `slow`.
`--source prometheus` has Prometheus tell instead, as Flagger and Argo Rollouts ask it.
"""

from functools import partial

from labs.istio.stars import stars
from workshop.kubernetes.exercises import exercise
from workshop.kubernetes.object_steps import apply
from workshop.mesh.guarded_route import GuardedRoute
from workshop.mesh.promotion import Candidate, Promotion
from workshop.mesh.weighted_route import Route, split
from workshop.runbook import Lab, Option

PROMOTION = Promotion(
    stable="v1",
    candidates=(
        Candidate("v3"),
        Candidate(
            "erring",
            "reviews-erring.yaml",
            (
                ("DestinationRule", "bookinfo", "reviews-erring"),
                ("Deployment", "bookinfo", "reviews-erring"),
            ),
        ),
        Candidate(
            "slow",
            "reviews-slow.yaml",
            (
                ("DestinationRule", "bookinfo", "reviews-slow"),
                ("Service", "bookinfo", "ratings-slow"),
                ("VirtualService", "bookinfo", "ratings-slow"),
                ("Deployment", "bookinfo", "reviews-slow"),
            ),
        ),
    ),
    caller="deploy/productpage-v1",
    path="/productpage",
    control="details",
)

REVIEWS = GuardedRoute(
    "Move reviews from v1 to v3",
    split("v1", "All requests to v1", 100, 0, 0),
    split("thirds", "A third to each of v1, v2 and v3", 33, 33, 34),
    split(
        "half",
        "Half to v1, half to v3",
        *(50, 0, 50),
        exercise=exercise(
            "v1 and v3 are to get half of the requests each, and v2 none. Which subsets stand in the route, with"
            " which weights?",
            "spec.http[*].route[*].destination.subset",
            "spec.http[*].route[*].weight",
        ),
    ),
    split("v3", "All requests to v3", 0, 0, 100),
    route=Route("bookinfo", "reviews", ("v1", "v2", "v3")),
    proof=stars,
    alike=partial(stars, at_once=1),
    start_title="Delete the VirtualService: all three are asked",
    promotion=PROMOTION,
    clears=(("VirtualService", "bookinfo", "ratings"),),
)

LAB = Lab(
    name="istio.canary",
    title="Release reviews v3 as a canary",
    text=__doc__,
    needs=("istio.gateway",),
    options=(
        Option("weights", "Any other split of v1, v2 and v3, in percent: 80,20,0."),
        *PROMOTION.options,
    ),
    tries=(("--promote erring", "a bad version: the first stage rolls it back"),),
    parts=(
        apply("Name the versions of all four services as subsets", "subsets.yaml"),
        REVIEWS,
    ),
)
