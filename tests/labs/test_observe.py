"""The lab istio.observe on a real sandbox: its proofs, and that nothing is left of it."""

from __future__ import annotations

import json
import re

from tests.kit.workshop import Workshop

KINDS = "deployments,services,configmaps,serviceaccounts,telemetries,gateways,virtualservices,clusterroles"


def there(workshop: Workshop) -> dict[str, object]:
    """Names of all objects that could be the lab's, with the data of ConfigMaps."""
    listed = json.loads(workshop.by_hand(f"kubectl get {KINDS} -A -o json"))["items"]
    return {f"{one['kind']} {one['metadata']['name']}": one.get("data") for one in listed}


def test_what_was_counted_and_traced_is_proved_and_taken_away_again(workshop: Workshop) -> None:
    workshop.converge("lab.istio.gateway")
    before = there(workshop)
    said = workshop.converge("lab.istio.observe").said
    assert "Prometheus counts 336 calls of istio-ingressgateway to productpage-v1" in said
    assert re.search(r"one trace of \d+ spans goes through productpage, reviews, ratings, in order", said), said
    assert "every share is as expected" in said.partition("Kiali seen from outside")[2]
    assert "nothing was applied" in workshop.converge("lab.istio.observe").said
    workshop.converge("lab.istio.observe", "--to", "off", "--yes")
    assert there(workshop) == before
