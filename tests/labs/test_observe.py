"""The lab istio.observe on a real sandbox: its proofs, and that nothing is left of it."""

from __future__ import annotations

import re

import pytest

from tests.kit.workshop import Workshop


def test_what_was_counted_and_traced_is_proved_and_taken_away_again(workshop: Workshop) -> None:
    workshop.converge("lab.istio.gateway")
    before = workshop.dump()
    said = workshop.converge("lab.istio.observe").said
    assert "Prometheus counts 336 calls of istio-ingressgateway to productpage-v1" in said
    assert re.search(r"one trace of \d+ spans goes through productpage, reviews, ratings, in order", said), said
    assert "every share is as expected" in said.partition("Kiali seen from outside")[2]
    assert "nothing was applied" in workshop.converge("lab.istio.observe").said
    assert "reviews.bookinfo" in workshop.by_hand("istioctl proxy-config clusters deploy/productpage-v1.bookinfo")
    workshop.converge("lab.istio.observe", "--to", "off", "--yes")
    assert workshop.dump() == before


@pytest.mark.slow
def test_of_a_share_of_requests_a_trace_is_found_as_well(workshop: Workshop) -> None:
    """With none traced there would be nothing to find: seen, a run that waited a minute and failed."""
    assert workshop.run("lab.istio.observe", "--sampling", "0").status == 2
    ran = workshop.run("lab.istio.observe", "--to", "traces", "--sampling", "20")
    assert ran.status in (0, 3), ran.said
    told = "20 % of requests are traced" if ran.status else "goes through productpage, reviews, ratings, in order"
    assert told in ran.said
    workshop.converge("lab.istio.observe", "--to", "off", "--yes")
