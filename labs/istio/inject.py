"""A mesh works through sidecars: a proxy beside every workload, which all its traffic
passes. Nobody adds them by hand. A label on a namespace tells Istio to inject one into
every pod that is created there from then on; pods that are there already stay as they
are until they are replaced.
"""

from workshop.kubernetes.object_steps import apply, choice, label_namespaces
from workshop.kubernetes.proofs import shows
from workshop.runbook import Lab, Option

LAB = Lab(
    name="istio.inject",
    title="Let Istio inject sidecars into two namespaces",
    text=__doc__,
    needs=("istio.install",),
    options=(Option("injection", "enabled (the default), or disabled to take the label's effect back."),),
    parts=(
        apply("Create the namespaces primary and bookinfo", "namespaces.yaml"),
        label_namespaces(
            "Label them for injection",
            "primary",
            "bookinfo",
            labels={"istio-injection": choice("injection", "enabled", "disabled")},
            proofs=(shows("get namespaces primary bookinfo --show-labels"),),
        ),
    ),
)
