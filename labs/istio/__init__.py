"""Istio: installed, let into the cluster, and put to work: routing, faults, releases, breakers, mirrors."""

from labs.istio import (
    adopt,
    blue_green,
    bookinfo,
    canary,
    circuit_breaker,
    cleanup,
    fault,
    gateway,
    identity,
    inject,
    install,
    mirror,
    shift,
)

LABS = (
    install.LAB,
    adopt.LAB,
    inject.LAB,
    bookinfo.LAB,
    gateway.LAB,
    canary.LAB,
    identity.LAB,
    shift.LAB,
    fault.LAB,
    blue_green.LAB,
    circuit_breaker.LAB,
    mirror.LAB,
    cleanup.LAB,
)
