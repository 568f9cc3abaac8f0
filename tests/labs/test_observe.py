"""The lab istio.observe, of labs/preview: its proofs on a real sandbox, and that nothing is left of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.server import launcher
from tests.kit.workshop import ROOT, Workshop

KINDS = "deployments,services,configmaps,serviceaccounts,telemetries,gateways,virtualservices,clusterroles"


@dataclass(frozen=True)
class Preview(Workshop):
    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "INVOKE_LABS": str(ROOT / "labs" / "preview")}


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preview]:
    state = tmp_path_factory.mktemp("observe")
    yield Preview(state)
    launcher.stop(state / "sandbox")


def there(preview: Preview) -> dict[str, object]:
    """Names of all objects that could be the lab's, with the data of ConfigMaps."""
    listed = json.loads(preview.by_hand(f"kubectl get {KINDS} -A -o json"))["items"]
    return {f"{one['kind']} {one['metadata']['name']}": one.get("data") for one in listed}


def test_what_was_counted_and_traced_is_proved_and_taken_away_again(preview: Preview) -> None:
    preview.converge("lab.istio.gateway")
    before = there(preview)
    said = preview.converge("lab.istio.observe").said
    assert "Prometheus counts 336 calls of istio-ingressgateway to productpage-v1" in said
    assert re.search(r"one trace of \d+ spans goes through productpage, reviews, ratings, in order", said), said
    assert "every share is as expected" in said.partition("Kiali seen from outside")[2]
    assert "nothing was applied" in preview.converge("lab.istio.observe").said
    preview.converge("lab.istio.observe", "--to", "off", "--yes")
    assert there(preview) == before
