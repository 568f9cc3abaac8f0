"""Istio's CustomResourceDefinitions, as `istioctl install` creates them."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def crds() -> list[dict[str, Any]]:
    """Those of the kinds the sandbox's mesh knows, from packaged data (see tools/extract_istio_schema.py)."""
    text = (resources.files(__package__) / "data" / "crds.json").read_text(encoding="utf-8")
    return [_crd(packed) for packed in json.loads(text)]


def _crd(packed: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{packed['names']['plural']}.{packed['group']}", "labels": packed["labels"]},
        "spec": {
            "group": packed["group"],
            "names": packed["names"],
            "scope": "Namespaced",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": packed["schema"]},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": packed["columns"],
                }
                for index, version in enumerate(packed["versions"])
            ],
        },
    }
