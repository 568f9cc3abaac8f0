"""Which rule a route or a cluster comes from, written into it as Istio does: `istioctl proxy-config` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def metadata(kind: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was made from `rule`; `kind` is `virtual-service` or `destination-rule`."""
    named = rule["metadata"]
    path = f"/apis/networking.istio.io/v1/namespaces/{named['namespace']}/{kind}/{named['name']}"
    return {"filter_metadata": {"istio": {"config": path}}}
