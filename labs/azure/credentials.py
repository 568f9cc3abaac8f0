"""kubectl finds a cluster, and the right to change it, in a kubeconfig. The workshop keeps
one of its own with the contexts `primary` and `secondary`, and never touches yours. It
also leaves its mark on both clusters: labs change only what carries it.
"""

from workshop.azure.azure_steps import credentials
from workshop.runbook import Lab

LAB = Lab(
    name="azure.credentials",
    title="Get the way into both clusters",
    text=__doc__,
    needs=("azure.aks", "azure.aks-secondary"),
    parts=(credentials("Write the contexts primary and secondary", "primary", "secondary"),),
)
