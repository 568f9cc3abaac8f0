"""The packaged data are what the tools make of their sources."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

from sandbox.mesh.envoy import binary

ROOT = Path(__file__).resolve().parents[2]


def run(tool: str, source: Path, *more: str) -> bytes:
    command = [sys.executable, str(ROOT / "tools" / tool), str(source), *more]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_the_schema_of_envoys_configuration_is_that_of_the_installed_envoy() -> None:
    packaged = (ROOT / "sandbox/mesh/xds/envoy.binpb").read_bytes()
    assert run("extract_xds_schema.py", binary()) == packaged


def test_so_is_that_of_the_spans_it_sends() -> None:
    packaged = (ROOT / "sandbox/jaeger/otlp.binpb").read_bytes()
    assert run("extract_xds_schema.py", binary(), "otlp") == packaged


ISTIOS = [
    *("Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "Sidecar"),
    *("PeerAuthentication", "AuthorizationPolicy", "Telemetry"),
]


def test_istios_schemas_lose_descriptions_and_cel_but_no_field(tmp_path: Path) -> None:
    properties = {
        "description": {"type": "string", "description": "a field that is called so"},
        "port": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0"}]},
    }
    schema = {"type": "object", "description": "gone", "properties": properties, "required": ["port"]}
    documents = [
        {
            "metadata": {"name": f"{kind.lower()}s.networking.istio.io", "labels": {"app": "istio-pilot"}},
            "spec": {
                "group": "networking.istio.io",
                "names": {"kind": kind, "plural": f"{kind.lower()}s"},
                "versions": [{"name": name, "schema": {"openAPIV3Schema": schema}} for name in ("v1", "v1beta1")],
            },
        }
        for kind in sorted((*ISTIOS, "WasmPlugin"))
    ]
    source = tmp_path / "crds.yaml"
    source.write_text(yaml.safe_dump_all(documents))
    found = json.loads(run("extract_istio_schema.py", source))
    assert isinstance(found, list)
    assert [crd["names"]["kind"] for crd in found] == ISTIOS
    assert found[0]["versions"] == ["v1", "v1beta1"]
    assert found[0]["schema"] == {
        "type": "object",
        "properties": {"description": {"type": "string"}, "port": {"type": "integer"}},
        "required": ["port"],
    }
