"""The workshop itself: its sections in order, one short module each, manifests beside it."""

from labs import azure, istio
from workshop.runbook.assembly import assembled

RUNBOOK = assembled((*azure.LABS, *istio.LABS))
