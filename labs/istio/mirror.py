"""Mirroring tries a release on real traffic without any risk: v1 answers everybody, and
of half of the requests a copy goes to v2, whose answers are thrown away. Nobody notices;
only v2's own log shows what arrived. The copies may also leave the cluster: a
ServiceEntry gives the gateway of the secondary cluster a name in this mesh, and there a
VirtualService routes the copies, which keep the host that was asked for, to another v2.
Before Istio 1.28 that host had `-shadow` after its name; the manifests list both.
"""

from labs.istio.copies import SHARE, copied_here, copied_there
from labs.istio.shift import HELLOWORLD
from workshop.kubernetes.exercises import exercise
from workshop.kubernetes.ingress import IngressOf, has_ingress
from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.other_clusters import if_cluster, on_cluster
from workshop.kubernetes.stages import StagesAcross, stage
from workshop.mesh.install import install
from workshop.runbook import Lab, Together

LAB = Lab(
    name="istio.mirror",
    title="Copy requests to v2, here and in another cluster",
    text=__doc__,
    options=(SHARE,),
    tries=(("--share 10", "fewer copies"),),
    parts=(
        on_cluster("secondary", install("Install Istio in the secondary cluster", proofs=(has_ingress(),))),
        on_cluster(
            "secondary", apply("Create the namespace secondary there, with injection", "secondary-namespace.yaml")
        ),
        on_cluster(
            "secondary",
            apply("Deploy HelloWorld v2 there, behind a gateway", "secondary-helloworld.yaml", ready="2/2"),
        ),
        Together(  # the other cluster is made ready meanwhile
            (
                if_cluster(
                    "secondary",
                    apply(
                        "Name that gateway in this mesh", "secondary-gateway.yaml", values=(IngressOf("secondary"),)
                    ),
                ),
            ),
            after=("istio.shift",),
        ),
        StagesAcross(
            "Mirror HelloWorld's requests",
            stage(
                "cluster",
                "All requests to v1, copies to v2",
                "mirror-cluster.yaml",
                values=(SHARE,),
                proofs=copied_here,
                exercise=exercise(
                    "v1 is to answer all requests, and v2 to get a copy of half of them. What says so?",
                    "spec.http[0].route[0].destination.subset",
                    "spec.http[0].mirror",
                    "spec.http[0].mirrorPercentage",
                ),
            ),
            stage(
                "secondary",
                "All requests to v1, copies to v2 in the secondary cluster",
                "mirror-secondary.yaml",
                values=(SHARE,),
                proofs=copied_there,
            ),
            start=HELLOWORLD.at("v2", lab="istio.shift"),
            across={"secondary": "secondary"},
        ),
    ),
)
