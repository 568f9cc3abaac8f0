"""At which addresses and ports a service is reached from outside."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.core import addresses
from sandbox.mesh import outside
from sandbox.mesh.istio import PORTS_NOTE


def gateway(*ports: int, **annotations: str) -> Any:
    return {
        "metadata": {"annotations": annotations},
        "spec": {"ports": [{"port": port} for port in ports]},
        "status": {"loadBalancer": {"ingress": [{"ip": "127.64.1.1"}]}},
    }


@pytest.mark.parametrize(
    ("allowed", "service", "port", "reached"),
    [
        (True, gateway(8080, 8443, **{PORTS_NOTE: "why"}), 8080, [8080, 80]),
        (True, gateway(8080, 8443, **{PORTS_NOTE: "why"}), 8443, [8443, 443]),
        (False, gateway(8080, 8443, **{PORTS_NOTE: "why"}), 8080, [8080]),
        (True, gateway(80, 443), 80, [80]),
        (False, gateway(80, 443), 80, [8080]),
        (False, gateway(80, 443), 443, [8443]),
        (False, gateway(80, 8080), 80, []),
        (False, gateway(22), 22, []),
        (True, gateway(8080, 8443), 8080, [8080]),
        (True, gateway(80, 8080, **{PORTS_NOTE: "why"}), 8080, [8080]),
        (True, gateway(15021, **{PORTS_NOTE: "why"}), 15021, [15021]),
    ],
)
def test_well_known_ports_lead_where_they_are_said_to_as_far_as_the_kernel_lets_them(
    monkeypatch: pytest.MonkeyPatch, allowed: bool, service: Any, port: int, reached: list[int]
) -> None:
    monkeypatch.setattr(addresses, "may_listen", lambda number: allowed or number >= 1024)
    assert outside.ways_in(service, {"port": port}, []) == [("127.64.1.1", number) for number in reached]
