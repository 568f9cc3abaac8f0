"""The lab istio.observe on a real sandbox: its proofs, and that nothing is left of it."""

from __future__ import annotations

import re

from tests.kit.workshop import Workshop


def test_what_was_counted_and_traced_is_proved_and_taken_away_again(workshop: Workshop) -> None:
    workshop.converge("lab.istio.gateway")
    before = workshop.dump()
    said = workshop.converge("lab.istio.observe").said
    assert "Prometheus counts 336 calls of istio-ingressgateway to productpage-v1" in said
    assert re.search(r"one trace of \d+ spans goes through productpage, reviews, ratings, in order", said), said
    assert "every share is as expected" in said.partition("Kiali seen from outside")[2]
    assert "nothing was applied" in workshop.converge("lab.istio.observe").said
    workshop.converge("lab.istio.observe", "--to", "off", "--yes")
    assert workshop.dump() == before
