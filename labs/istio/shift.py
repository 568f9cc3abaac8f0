"""Traffic shifting moves users from one version to the next in steps that everybody can
follow: all on v1, a tenth to v2, half, all. Both versions run all the time, and how many
pods each has does not matter: the weights decide. HelloWorld says its version in every
answer, so the split can be counted from outside. Its Gateway opens the same port as
BookInfo's, for requests that name its host: `Host: hello.example.com`.
"""

from workshop.kubernetes.ingress import ThroughIngress, through_ingress
from workshop.kubernetes.object_steps import apply
from workshop.mesh.weighted_route import Route, WeightedRoute, split
from workshop.runbook import Lab, Option
from workshop.traffic.probe import Category, Probe

HOST = "hello.example.com"

VERSIONS = (
    Category("v1", "Hello version: v1,", "blue"),
    Category("v2", "Hello version: v2,", "green"),
)


def versions(shares: tuple[float, ...]) -> ThroughIngress:
    """The proof that v1 and v2 get these shares of the requests from outside."""
    return through_ingress(
        Probe(
            "Versions that say hello",
            "/hello",
            VERSIONS,
            shares,
            headers=(("Host", HOST),),
            telling="version: v[12]",
        )
    )


HELLOWORLD = WeightedRoute(
    "Shift HelloWorld from v1 to v2",
    split("v1", "All requests to v1", 100, 0),
    split("tenth", "A tenth to v2", 90, 10),
    split("half", "Half to each", 50, 50),
    split("v2", "All requests to v2", 0, 100),
    route=Route(
        "primary",
        "helloworld",
        ("v1", "v2"),
        hosts=(HOST,),
        gateways=("helloworld-gateway",),
        http={"match": [{"uri": {"exact": "/hello"}}]},
    ),
    proof=versions,
    start_title="Delete the VirtualService: nobody gets in any more",
)

LAB = Lab(
    name="istio.shift",
    title="Shift traffic from HelloWorld v1 to v2",
    text=__doc__,
    needs=("istio.inject",),
    options=(Option("weights", "Any other split of v1 and v2, in percent: 80,20."),),
    tries=(("--weights 80,20", "any other split"),),
    parts=(
        apply("Deploy HelloWorld v1 behind a gateway", "helloworld.yaml", "helloworld-v1.yaml", ready="2/2"),
        apply("Deploy v2 beside it", "helloworld-v2.yaml", ready="2/2"),
        HELLOWORLD,
    ),
)
