"""Later sections span two clusters. The second one is like the first, in a group and a
network of its own, and does not depend on it: both are made at the same time.
"""

from workshop.azure.azure_steps import cluster, role
from workshop.runbook import Lab, Together

LAB = Lab(
    name="azure.aks-secondary",
    title="Make the secondary cluster",
    text=__doc__,
    needs=("azure.vnet",),
    parts=(
        cluster("Make the cluster with its node pool", "secondary"),
        Together((role("Let its nodes pull from the registry", "secondary", "pull"),), after=("azure.acr",)),
    ),
)
