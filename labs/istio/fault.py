"""What happens when a service is slow, or fails? A mesh can make it so on purpose: the
proxy of the caller delays a share of the calls, or answers them with an error, and no
service is touched. Half of the calls to ratings now wait 7 s, and that shows a bug:
productpage gives reviews 3 s and tries once more, but reviews v2 waits 10 s for ratings.
So a quarter of the pages come without reviews, after 6 s, though nothing is broken. The
fix is traffic, too: v1 does not ask ratings, and v3 gives up on it after 2.5 s.
"""

from labs.istio.identity import IDENTITY
from labs.istio.patience import DELAY, PERCENT, USER, aborted, delayed, fixed, undelayed
from workshop.kubernetes.exercises import exercise
from workshop.kubernetes.proofs import proofs_at
from workshop.kubernetes.stages import Stages, stage
from workshop.runbook import Lab

FAULT = Stages(
    "Inject faults between reviews and ratings",
    stage(
        "delay",
        "Delay a share of the calls to ratings",
        "identity.yaml",
        "ratings-delay.yaml",
        values=(USER, DELAY, PERCENT),
        before=proofs_at(IDENTITY, "identity", undelayed),
        proofs=delayed,
        exercise=exercise(
            "Half of the calls to ratings are to wait for seven seconds before they go on. What is the fault?",
            "spec.http[0].fault",
        ),
    ),
    stage(
        "fixed",
        "Fix it: half of reviews to v1, half to v3",
        "reviews-fixed.yaml",
        "ratings-delay.yaml",
        values=(USER, DELAY, PERCENT),
        proofs=fixed,
    ),
    stage(
        "abort",
        "Instead of the delay, errors for one user only",
        "reviews-fixed.yaml",
        "ratings-abort.yaml",
        values=(USER,),
        proofs=aborted,
    ),
    start=IDENTITY.at("identity", lab="istio.identity"),
)

LAB = Lab(
    name="istio.fault",
    title="Inject a delay and an error, and find a bug",
    text=__doc__,
    needs=("istio.identity",),
    options=(DELAY, PERCENT, USER),
    tries=(("--delay 2s --percent 30", "a shorter delay, less often: is the bug still there?"),),
    parts=(FAULT,),
)
