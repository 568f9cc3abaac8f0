"""The workshop itself: its sections in order, one short module each, manifests beside it."""

from labs.istio import bookinfo, canary, cleanup, gateway, inject, install
from workshop.runbook import Runbook

RUNBOOK = Runbook((install.LAB, inject.LAB, bookinfo.LAB, gateway.LAB, canary.LAB, cleanup.LAB))
