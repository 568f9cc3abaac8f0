"""A service that gets more than it can take should not be asked even more. A circuit
breaker is in the client's proxy: it opens so many connections, lets so many requests
wait, and answers all others itself with 503, at once and without a call. A pod that errs
is left out altogether for a while. fortio, a load generator in the mesh, calls httpbin
with one connection, then two, then three; the proxy's own counters tell which answers
were the breaker's. That proxy runs one worker thread (`concurrency: 1`): limits are kept
by each thread for itself, so two threads would send httpbin two requests at once, and
its own proxy, which has the same limits, would refuse one: an error that ejects the pod.
"""

from labs.istio.breaking import CONNECTIONS, PENDING, PER_CONNECTION, lifted, limited, unlimited
from workshop.kubernetes.exercises import exercise
from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.proofs import proofs_at
from workshop.kubernetes.stages import Stage, Stages, stage
from workshop.runbook import Lab

BREAKER = Stages(
    "Limit what reaches httpbin",
    stage(
        "limits",
        "Limit connections and waiting requests, and eject after errors",
        "httpbin-limits.yaml",
        values=(CONNECTIONS, PENDING, PER_CONNECTION),
        proofs=limited,
        exercise=exercise(
            "fortio may open one connection to httpbin, let one request wait, and send one on each connection; one"
            " error ejects the pod for three minutes. Which limits are that, and what detects the outlier?",
            "spec.trafficPolicy.connectionPool.tcp.maxConnections",
            "spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests",
            "spec.trafficPolicy.connectionPool.http.maxRequestsPerConnection",
            "spec.trafficPolicy.outlierDetection.consecutive5xxErrors",
            "spec.trafficPolicy.outlierDetection.baseEjectionTime",
        ),
    ),
    stage("lifted", "Lift the limits", "httpbin-lifted.yaml", proofs=lifted),
    start=Stage("none", "Delete the DestinationRule httpbin: no limits any more"),
)

LAB = Lab(
    name="istio.circuit-breaker",
    title="Break the circuit before a service is overloaded",
    text=__doc__,
    needs=("istio.inject",),
    options=(CONNECTIONS, PENDING, PER_CONNECTION),
    tries=(("--connections 4 --pending 4", "limits that three connections do not reach"),),
    parts=(
        apply("Deploy httpbin", "httpbin.yaml", ready="2/2"),
        apply(
            "Deploy fortio, and call without a limit",
            "fortio.yaml",
            ready="2/2",
            proofs=proofs_at(BREAKER, "none", unlimited),
        ),
        BREAKER,
    ),
)
