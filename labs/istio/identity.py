"""Who somebody is can decide where the request goes. productpage sends the name of the
user who has logged in along as the header `end-user`; a VirtualService whose first rule
matches that header gives one user another version than everybody else. This is how a
new version is shown to testers only, in production, before any share of the traffic
goes there.
"""

from labs.istio.canary import REVIEWS
from labs.istio.stars import SOMEBODY_ELSE, User, stars
from workshop.kubernetes.exercises import exercise
from workshop.kubernetes.stages import Stages, stage
from workshop.runbook import Lab

USER = User("user", "Who gets v2.", "jason")

IDENTITY = Stages(
    "Route reviews by user",
    stage(
        "identity",
        "One user gets reviews v2, everybody else v3",
        "identity.yaml",
        values=(USER,),
        proofs=lambda run: (
            stars((0, 1, 0), user=USER.of(run.options)),
            stars((0, 0, 1), user=SOMEBODY_ELSE),
            stars((0, 0, 1)),
        ),
        exercise=exercise(
            "The user jason is to get v2, and everybody else v3. productpage passes the name on in the header"
            " `end-user`: what does the first rule match, and where do both lead?",
            "spec.http[0].match",
            "spec.http[*].route[*].destination.subset",
        ),
    ),
    start=REVIEWS.at("v3", lab="istio.canary"),
    clears=(("VirtualService", "bookinfo", "ratings"),),
)

LAB = Lab(
    name="istio.identity",
    title="Give one user another version",
    text=__doc__,
    needs=("istio.canary",),
    options=(USER,),
    tries=(("--user ada", "somebody else gets v2"),),
    parts=(IDENTITY,),
)
