"""Azure Kubernetes Service runs the control plane; you choose and pay the nodes. Pods get
their addresses from an overlay, so that they do not use up the subnet, and Cilium
carries their traffic and enforces network policies. The kubelets of the nodes pull
images from the registry by the role AcrPull.
"""

from workshop.azure.azure_steps import cluster, role
from workshop.runbook import Lab, Together

LAB = Lab(
    name="azure.aks",
    title="Make the primary cluster",
    text=__doc__,
    needs=("azure.vnet",),
    parts=(
        cluster("Make the cluster with its node pool", "primary"),
        Together((role("Let its nodes pull from the registry", "primary", "pull"),), after=("azure.acr",)),
    ),
)
