"""BookInfo is a book shop's page, made by four services: productpage asks details and
reviews, and reviews asks ratings. Of reviews there are three versions at once: v1 shows
no stars, v2 black ones, v3 red ones. With the namespace labelled, every pod starts with
two containers, the service and its sidecar: 2/2.
"""

from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.proofs import exec_check, shows
from workshop.runbook import Lab, Together

LAB = Lab(
    name="istio.bookinfo",
    title="Deploy the BookInfo application",
    text=__doc__,
    needs=("istio.inject",),
    parts=(
        Together(
            (
                apply("Deploy details", "bookinfo-details.yaml", ready="2/2"),
                apply("Deploy ratings", "bookinfo-ratings.yaml", ready="2/2"),
                apply("Deploy reviews v1, v2 and v3", "bookinfo-reviews.yaml", ready="2/2"),
            )
        ),
        apply(
            "Deploy productpage, which calls them",
            "bookinfo-productpage.yaml",
            ready="2/2",
            proofs=(
                shows("get pods -n bookinfo"),
                exec_check(
                    "curl -sS productpage:9080/productpage",
                    "<title>(Simple Bookstore App)</title>",
                    namespace="bookinfo",
                    workload="deploy/ratings-v1",
                    container="ratings",
                ),
            ),
        ),
    ),
)
