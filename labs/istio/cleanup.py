"""Everything the Istio labs put into the cluster goes, last first: routes, gateway,
application, namespaces, and Istio itself with its kinds. What was there before stays.
"""

from workshop.runbook import Lab

LAB = Lab(
    name="istio.cleanup",
    title="Undo all of the above and uninstall Istio",
    text=__doc__,
    clean_up=True,
)
