"""Azure: groups, networks, a registry and two clusters, and the way into them."""

from labs.azure import acr, aks, aks_secondary, cleanup, credentials, group, vnet

LABS = (group.LAB, vnet.LAB, acr.LAB, aks.LAB, aks_secondary.LAB, credentials.LAB, cleanup.LAB)
