"""Istio: installed, let into the cluster, and put to work: routing, faults, releases, breakers, mirrors."""

from workshop.runbook.lab_files import named

LABS = named(
    __name__,
    *("install", "adopt", "inject", "bookinfo", "gateway", "canary", "identity", "shift", "fault"),
    *("blue_green", "circuit_breaker", "mirror", "observe", "ratings", "cleanup"),
)
