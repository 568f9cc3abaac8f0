"""Istio has a control plane, istiod, which turns Kubernetes and Istio objects into
configuration for proxies, and a gateway, a proxy at the edge of the mesh that lets
traffic in. `istioctl` checks that the cluster is fit, installs both and waits until
they are ready. Istio's own kinds (VirtualService, DestinationRule, Gateway, ...) exist
from then on.
"""

from workshop.kubernetes.proofs import shows
from workshop.mesh.install import install
from workshop.runbook import Lab

LAB = Lab(
    name="istio.install",
    title="Install Istio with its ingress gateway",
    text=__doc__,
    parts=(
        install(
            "Check the cluster and install Istio",
            proofs=(
                shows("get pods -n istio-system"),
                shows("get services -n istio-system -l istio=ingressgateway"),
            ),
        ),
    ),
)
