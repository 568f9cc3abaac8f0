"""A registry holds the images of your own applications, near the clusters and readable
only to them: there is no password (the admin user is off), the clusters' identities get
the role AcrPull once they exist. Public images can be copied in, which keeps a workshop
independent of the limits of public registries. Images that nobody has published are built in
it from their sources, or where Azure does not offer that, others are copied to stand in.
"""

from workshop.azure.azure_steps import images, own_images, registry
from workshop.runbook import Lab

LAB = Lab(
    name="azure.acr",
    title="Make a container registry",
    text=__doc__,
    needs=("azure.group",),
    parts=(
        registry("Make the registry, without an admin user"),
        images("Copy the images that the profile names into it"),
        own_images("Build the images that the profile names in it"),
    ),
)
