"""A cluster's nodes get their addresses from a subnet of a virtual network; pods and
services have ranges of their own that must not overlap with it. The cluster joins the
network as an identity, which therefore needs the role Network Contributor there before
the cluster is made.
"""

from workshop.azure.azure_steps import identity, network, role
from workshop.runbook import Lab, Together

LAB = Lab(
    name="azure.vnet",
    title="Make a network and an identity for each cluster",
    text=__doc__,
    needs=("azure.group",),
    parts=(
        Together(
            (
                network("Make the primary's network and subnet", "primary"),
                network("Make the secondary's network and subnet", "secondary"),
                identity("Make the primary's identity", "primary"),
                identity("Make the secondary's identity", "secondary"),
            )
        ),
        Together(
            (
                role("Let the primary's identity use its network", "primary", "network"),
                role("Let the secondary's identity use its network", "secondary", "network"),
            )
        ),
    ),
)
