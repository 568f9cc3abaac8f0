"""Settings that Azure would refuse are refused, with the key and the rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.kit.azure import profile
from workshop.azure.rules import validate
from workshop.runbook.errors import UsageError


def changed(path: str, value: Any) -> Any:
    """The default profile with one setting changed."""
    content = msgspec.to_builtins(profile())
    *parents, last = path.split(".")
    inner = content
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return msgspec.convert(content, type(profile()))


def test_the_default_profile_is_valid() -> None:
    validate(profile())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nodes.count", 250),
        ("nodes.size", "Standard_M8-2ms_v2"),
        ("nodes.size", "Standard_DS13-4_v2"),
        ("tag", "R&D <mesh> 50% a/b\\c?"),
        ("primary.group", "größe(1)"),
        ("primary.cluster", "x" * 54),
        ("network.subnet", "x"),
        ("kubernetes", "1.36.1"),
    ],
)
def test_what_azure_takes_is_not_refused(path: str, value: Any) -> None:
    validate(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("location", "West Europe", "short name"),
        ("primary.group", "ends-with.", "not ending with a dot"),
        ("secondary.group", "MESH-workshop", "another group than the primary's"),
        ("primary.cluster", "-x", "letter or digit at both ends"),
        ("primary.cluster", "x-", "letter or digit at both ends"),
        ("primary.cluster", "x" * 55, "1 to 54"),
        ("secondary.cluster", "my_cluster", "letters, digits and `-`"),
        ("primary.cluster", "my.cluster", "it is also the cluster's DNS prefix"),
        ("registry", "has-a-dash", "letters and digits"),
        ("network.name", ".dot", "beginning with a letter or digit"),
        ("kubernetes", "v1.36", "minor version"),
        ("nodes.size", "DS2", "a size"),
        ("nodes.size", "Standard_DS2 v2", "a size"),
        ("tag", "", "1 to 256"),
        ("tag", "a\tb", "without control characters"),
        ("primary.group", "a/b", "1 to 90"),
        ("nodes.count", 1001, "between 1 and 1000"),
        ("nodes.pool", "Upper", "lower-case"),
        ("nodes.pool", "longer_than_twelve", "lower-case"),
        ("nodes.count", 0, "between 1 and 1000"),
        ("nodes.max_pods", 9, "between 10 and 250"),
        ("subscription", "mine", "a GUID"),
        ("network.prefix", "10.0.0.1/8", "an address range"),
        ("network.prefix", "ten", "an address range"),
        ("network.subnet_prefix", "11.240.0.0/16", "inside azure.network.prefix"),
        ("network.subnet_prefix", "10.240.0.0/30", "large enough for 9 addresses"),
        ("service.prefix", "10.240.4.0/24", "apart from azure.network.subnet_prefix"),
        ("service.prefix", "172.30.4.0/24", "Azure's own"),
        ("service.prefix", "10.0.0.0/11", "/12 or smaller"),
        ("service.dns_ip", "10.3.0.10", "inside azure.service.prefix"),
        ("service.dns_ip", "10.2.0.1", "neither the first two nor the last"),
        ("service.dns_ip", "dns", "an IPv4 address"),
        ("pods.prefix", "10.2.0.0/16", "apart from azure.service.prefix"),
        ("pods.prefix", "192.168.0.0/24", "large enough for 3 nodes"),
        ("pods.policy", "calico", "cilium"),
        ("monitoring", True, "azure.monitoring is true"),
        ("workspace", "law", "Log Analytics"),
        ("import_images", ("fine", "-bad"), "an image"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_key(path: str, value: Any, rule: str) -> None:
    with pytest.raises(UsageError) as refused:
        validate(changed(path, value))
    said = f"{refused.value.came_back} {refused.value.cause}"
    assert f"azure.{path.partition('.')[0]}" in said
    assert rule in said
