"""Blue/green keeps two whole environments: blue serves everybody, green is the next
release beside it. Users change over at once (or by way of an even split, to warm green
up), and because blue is still there, the way back takes a second: `--to blue`.
"""

from workshop.kubernetes.ingress import ThroughIngress, through_ingress
from workshop.kubernetes.object_steps import apply
from workshop.mesh.weighted_route import Route, WeightedRoute, split
from workshop.runbook import Lab, Option
from workshop.traffic.probe import Category, Probe

COLOURS = (
    Category("blue", '"message": "blue"', "blue"),
    Category("green", '"message": "green"', "green"),
)


def colours(shares: tuple[float, ...]) -> ThroughIngress:
    """The proof that blue and green get these shares of the requests from outside."""
    return through_ingress(
        Probe(
            "Colours that podinfo says it has",
            "/podinfo/api/info",
            COLOURS,
            shares,
            telling='"message": "[^"]*',
            page="/podinfo/",
        )
    )


LAB = Lab(
    name="istio.blue-green",
    title="Change from a blue release to a green one, and back",
    text=__doc__,
    needs=("istio.inject",),
    options=(Option("weights", "Any other split of blue and green, in percent: 80,20."),),
    tries=(("--to blue", "all requests back to blue, in a second"),),
    parts=(
        apply("Deploy podinfo blue behind a gateway", "podinfo.yaml", "podinfo-blue.yaml", ready="2/2"),
        apply("Deploy green beside it", "podinfo-green.yaml", ready="2/2"),
        WeightedRoute(
            "Change over from blue to green",
            split("blue", "All requests to blue", 100, 0),
            split("half", "Half to each", 50, 50),
            split("green", "All requests to green", 0, 100),
            route=Route(
                "primary",
                "podinfo",
                ("blue", "green"),
                hosts=("*",),
                gateways=("podinfo-gateway",),
                http={"match": [{"uri": {"prefix": "/podinfo/"}}], "rewrite": {"uri": "/"}},
            ),
            proof=colours,
            start_title="Delete the VirtualService: nobody gets in any more",
        ),
    ),
)
