"""Azure: groups, networks, a registry and two clusters, and the way into them."""

from workshop.runbook.lab_files import named

LABS = named(__name__, "group", "vnet", "acr", "aks", "aks_secondary", "credentials", "cleanup")
