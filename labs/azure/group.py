"""Everything on Azure lies in a resource group, in one region, and goes with it. The primary
cluster and the secondary one each get a group of their own, so that either can be made
and deleted alone. The tag `workshop` on every resource says whose it is: the clean-up
deletes only what carries it.
"""

from workshop.azure.azure_steps import group
from workshop.runbook import Lab, Together

LAB = Lab(
    name="azure.group",
    title="Make a resource group for each cluster",
    text=__doc__,
    parts=(
        Together(
            (
                group("Make the primary's group", "primary"),
                group("Make the secondary's group", "secondary"),
            )
        ),
    ),
)
