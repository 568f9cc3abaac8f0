"""Fruit Smoothies was there before the mesh: a web page, the API behind it and a
database, in a namespace that knows nothing of Istio. `istioctl analyze` says what
keeps it outside, message by message: nobody said whether the namespace takes part
(IST0102), the ports' names do not tell what is spoken there (IST0118), and pods from
before have no proxy (IST0103). Each is put right, and looked for again. The proxy of a
new pod, `istio-proxy`, is a sidecar: an init container that keeps running, or, of an
older Istio, one more container. At last the mesh's gateway lets everybody in: open
/smoothies/ in a browser and give a fruit its stars. They go from the page to the API to
the database, and are still there when page and API are restarted.
"""

from workshop.kubernetes.ingress import through_ingress
from workshop.kubernetes.object_steps import apply, label_namespaces, restart
from workshop.kubernetes.proofs import shows
from workshop.mesh.analysis import analysis, puts_right
from workshop.runbook import Lab
from workshop.traffic.probe import Category, Probe

NAMESPACE = "ratingsapp"
CONTAINERS = (
    "custom-columns=POD:.metadata.name,CONTAINERS:.spec.containers[*].name,"
    'SIDECARS:.spec.initContainers[?(@.restartPolicy=="Always")].name'
)

LAB = Lab(
    name="istio.adopt",
    title="Take an application into the mesh that was there before",
    text=__doc__,
    needs=("istio.install",),
    parts=(
        apply(
            "Deploy Fruit Smoothies as it was before the mesh",
            "ratingsapp.yaml",
            "ratingsapp-workloads.yaml",
            proofs=(shows(f"get pods -n {NAMESPACE}"), analysis(NAMESPACE)),
        ),
        puts_right(
            "IST0102",
            NAMESPACE,
            label_namespaces("Label its namespace", NAMESPACE, labels={"istio-injection": "enabled"}),
        ),
        puts_right(
            "IST0118",
            NAMESPACE,
            apply("Name its ports by what is spoken there", "ratingsapp-named-ports.yaml"),
        ),
        puts_right(
            "IST0103",
            NAMESPACE,
            restart(
                "Restart its workloads, each with a sidecar from now on",
                "ratingsapp-workloads.yaml",
                ready="2/2",
                proofs=(
                    shows(f"get pods -n {NAMESPACE}"),
                    shows(f"get pods -n {NAMESPACE} -o '{CONTAINERS}'"),
                ),
            ),
        ),
        apply(
            "Let everybody in through the mesh's gateway",
            "ratingsapp-gateway.yaml",
            proofs=(
                through_ingress(
                    Probe(
                        "Pages seen from outside",
                        "/smoothies/",
                        (Category("Fruit Smoothies", "Fruit Smoothies"),),
                        (1.0,),
                    ),
                    tell=True,
                ),
            ),
        ),
    ),
)
