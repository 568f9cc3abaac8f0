"""Most applications come as Helm charts. This one has three: a database, the API in front of it, and the page that
asks the API. Helm calls what it makes of a chart a release, writes down every revision of it, and goes from one to
the next by an upgrade and back by a rollback; `helm history` tells them. The mesh asks nothing of a chart: the
namespace is labelled, so every pod comes with its sidecar, and the page has a Gateway and a VirtualService of its
own. The database's password is made here, nobody sees it, and no value of a chart has it: Helm keeps all values
readable, so charts name the Secret that has it. How many pods the page has is an autoscaler's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workshop.kubernetes.generated_secrets import login
from workshop.kubernetes.helm_releases import ReleaseStages, helm_release, revision
from workshop.kubernetes.ingress import ThroughIngress, through_ingress
from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.proofs import shows
from workshop.runbook import Lab
from workshop.traffic.probe import Category, Probe

if TYPE_CHECKING:
    from workshop.runbook.run import Run

NAMESPACE, DATABASE = "smoothies", "smoothies-db"
PATH = "/ratings/"
SUMMER = "Summer menu: what goes into the blender next?"


def kept(run: Run) -> tuple[ThroughIngress, ...]:
    from workshop.mesh.kept_rating import KeptRating

    return (through_ingress(KeptRating(PATH, NAMESPACE, ("ratings-api", "ratings-web"), "2/2"), tell=True),)


LAB = Lab(
    name="istio.ratings",
    title="Deploy the bigger application from Helm charts",
    text=__doc__,
    needs=("istio.install",),
    tries=(("--to v1", "back to the first release of the page, by helm rollback"),),
    parts=(
        apply("Make its namespaces", "ratings-namespaces.yaml"),
        login(
            "Give the database a user, with a password that nobody sees",
            at=f"{DATABASE}/ratings-mongodb",
            user="ratings",
            used_at=f"{NAMESPACE}/ratings-mongodb",
            key="MONGOCONNECTION",
            connection="mongodb://{username}:{password}"
            f"@ratings-mongodb.{DATABASE}.svc.cluster.local:27017/ratingsdb?authSource=admin",
            readers=(f"{DATABASE}/ratings-mongodb", f"{NAMESPACE}/ratings-api"),
        ),
        helm_release(
            "Install the database", "charts/ratings-mongodb", namespace=DATABASE, values={"image": "${mongo}"}
        ),
        helm_release(
            "Install the API",
            "charts/ratings-api",
            namespace=NAMESPACE,
            values={"image": "${ratings-api}"},
            ready="2/2",
        ),
        apply("Open a gateway for the page", "ratings-gateway.yaml"),
        ReleaseStages(
            "Releases of the page",
            revision("v1", "Install the page", values={"version": "v1"}, proofs=kept),
            revision(
                "v2",
                "Upgrade it to the summer menu, two pods at least",
                values={"version": "v2", "welcome": SUMMER, "least": 2},
                proofs=(
                    through_ingress(
                        Probe("Pages seen from outside", PATH, (Category("summer menu", "Summer menu"),), (1.0,))
                    ),
                    shows(f"get hpa,pods -n {NAMESPACE}"),
                ),
            ),
            chart="charts/ratings-web",
            namespace=NAMESPACE,
            values={"image": "${ratings-web}"},
            ready="2/2",
            start_title="Uninstall the page",
        ),
    ),
)
