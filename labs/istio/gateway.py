"""Nothing outside the cluster reaches BookInfo yet. A Gateway opens a port of Istio's
ingress gateway for host names; a VirtualService bound to it says which paths lead to
which service. The address is that of the load balancer in front of the ingress gateway:
tutorials call it GATEWAY_URL.
"""

from workshop.kubernetes.ingress import through_ingress
from workshop.kubernetes.object_steps import apply
from workshop.runbook import Lab
from workshop.traffic.probe import Category, Probe

LAB = Lab(
    name="istio.gateway",
    title="Open the ingress gateway for BookInfo",
    text=__doc__,
    needs=("istio.bookinfo",),
    parts=(
        apply(
            "Open a port and route the page's paths to productpage",
            "gateway.yaml",
            proofs=(
                through_ingress(
                    Probe(
                        "Titles seen from outside",
                        "/productpage",
                        (Category("Simple Bookstore App", "<title>Simple Bookstore App</title>"),),
                        (1.0,),
                    ),
                    tell=True,
                ),
            ),
        ),
    ),
)
