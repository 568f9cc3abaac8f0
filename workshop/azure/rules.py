"""What Azure would refuse, refused before the first call: names, address ranges, versions, sizes.

The rules of names are those of Azure's "Naming rules and restrictions for Azure resources"; those of addresses are
AKS's: ranges must not overlap, the DNS service has to be inside the service range, and a few ranges are Azure's.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import TYPE_CHECKING

from workshop.mistakes import Misfit

if TYPE_CHECKING:
    from workshop.settings import AzureSettings

_GROUP = r"(?u:[-\w.()]{0,89}[-\w()])", "1 to 90 letters, digits, `_ - . ( )`, not ending with a dot"
_CLUSTER = (
    r"[A-Za-z0-9](?:[-A-Za-z0-9]{0,52}[A-Za-z0-9])?",
    "1 to 54 letters, digits and `-`, with a letter or digit at both ends: it is also the cluster's DNS prefix",
)
_REGISTRY = r"(?:[A-Za-z0-9]{5,50})?", "5 to 50 letters and digits, or empty"
_NETWORK = r"[A-Za-z0-9](?:[-\w.]{0,62}\w)?", "2 to 64 letters, digits, `_ - .`, beginning with a letter or digit"
_SUBNET = r"[A-Za-z0-9](?:[-\w.]{0,78}\w)?", "1 to 80 letters, digits, `_ - .`, beginning with a letter or digit"
_POOL = r"[a-z][a-z0-9]{0,11}", "1 to 12 lower-case letters and digits, beginning with a letter"
_LOCATION = r"[a-z][a-z0-9]*", "a region's short name, as westeurope"
_VERSION = r"1\.\d{1,2}(?:\.\d{1,3})?", "a minor version as 1.36, or a whole one"
_SIZE = r"(?:Standard|Basic)_[-\w]+", "a size as Standard_DS2_v2"
_TAG = r"[^\x00-\x1f]{1,256}", "1 to 256 characters without control characters"
_WORKSPACE = (
    r"(?i)/subscriptions/[-0-9a-f]{36}/resourceGroups/[^/]+/providers/Microsoft.OperationalInsights/workspaces/[^/]+",
    "the resource id of a Log Analytics workspace",
)
_IMAGE = r"[a-zA-Z0-9][-\w.:/@]*", "an image as docker.io/istio/examples-bookinfo-ratings-v1:1.20.3"

_GIT = (
    r"https://[^\s#]+\.git#[-\w./]+(?::[-\w./]+)?",
    "a Git repository and a commit, as https://HOST/ORG/REPO.git#COMMIT, or with a folder in it #COMMIT:FOLDER",
)
_REPOSITORY = r"[a-z0-9]+(?:[._-][a-z0-9]+)*", "lower-case letters and digits with `-`, `_` or `.` between them"

_RESERVED = tuple(ip_network(r) for r in ("169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24"))
_RESERVED_IN_A_SUBNET = 5


def validate(azure: AzureSettings) -> None:
    """Raises Misfit for the first setting that breaks a rule."""
    for key, value, (pattern, rule) in _texts(azure):
        if not re.fullmatch(pattern, value, re.ASCII):
            raise Misfit(key, value, rule)
    for key, identifier in (("azure.subscription", azure.subscription), ("azure.tenant", azure.tenant)):
        if identifier and not _is_uuid(identifier):
            raise Misfit(key, identifier, "a GUID")
    if azure.primary.group.lower() == azure.secondary.group.lower():
        raise Misfit("azure.secondary.group", azure.secondary.group, "another group than the primary's")
    if azure.monitoring and not azure.workspace:
        raise Misfit("azure.workspace", "", _WORKSPACE[1], cause="azure.monitoring is true")
    _nodes(azure)
    _pods(azure)
    _ranges(azure)


def _texts(azure: AzureSettings) -> Iterator[tuple[str, str, tuple[str, str]]]:
    yield "azure.location", azure.location, _LOCATION
    yield "azure.tag", azure.tag, _TAG
    for name, place in (("primary", azure.primary), ("secondary", azure.secondary)):
        yield f"azure.{name}.group", place.group, _GROUP
        yield f"azure.{name}.cluster", place.cluster, _CLUSTER
    yield "azure.registry", azure.registry, _REGISTRY
    yield "azure.network.name", azure.network.name, _NETWORK
    yield "azure.network.subnet", azure.network.subnet, _SUBNET
    yield "azure.kubernetes", azure.kubernetes, _VERSION
    yield "azure.nodes.size", azure.nodes.size, _SIZE
    yield "azure.nodes.pool", azure.nodes.pool, _POOL
    if azure.workspace:
        yield "azure.workspace", azure.workspace, _WORKSPACE
    for index, image in enumerate(azure.import_images):
        yield f"azure.import_images[{index}]", image, _IMAGE
    for name, own in azure.own_images.items():
        yield f"azure.own_images.{name}", name, _REPOSITORY
        yield f"azure.own_images.{name}.git", own.git, _GIT
        if own.copy or azure.images == "import":
            yield f"azure.own_images.{name}.copy", own.copy, _IMAGE


def _nodes(azure: AzureSettings) -> None:
    nodes = azure.nodes
    if not 1 <= nodes.count <= 1000:
        raise Misfit("azure.nodes.count", nodes.count, "between 1 and 1000")
    if not 10 <= nodes.max_pods <= 250:
        raise Misfit("azure.nodes.max_pods", nodes.max_pods, "between 10 and 250")


def _pods(azure: AzureSettings) -> None:
    pods = azure.pods
    if (pods.dataplane == "cilium") != (pods.policy == "cilium"):
        raise Misfit("azure.pods.policy", pods.policy, "cilium with the dataplane cilium, and only with that")


def _ranges(azure: AzureSettings) -> None:
    network = _range("azure.network.prefix", azure.network.prefix)
    subnet = _range("azure.network.subnet_prefix", azure.network.subnet_prefix)
    service = _range("azure.service.prefix", azure.service.prefix)
    overlay = azure.pods.mode == "overlay"
    pods = _range("azure.pods.prefix", azure.pods.prefix) if overlay else None
    if not subnet.subnet_of(network):
        raise Misfit("azure.network.subnet_prefix", str(subnet), f"inside azure.network.prefix ({network})")
    if service.prefixlen < 12:
        raise Misfit("azure.service.prefix", str(service), "/12 or smaller")
    for key, one in (("azure.service.prefix", service), ("azure.pods.prefix", pods)):
        if one is None:
            continue
        if one.overlaps(subnet):
            raise Misfit(key, str(one), f"apart from azure.network.subnet_prefix ({subnet})")
        for reserved in _RESERVED:
            if one.overlaps(reserved):
                raise Misfit(key, str(one), f"apart from {reserved}, which is Azure's own")
    if pods and pods.overlaps(service):
        raise Misfit("azure.pods.prefix", str(pods), f"apart from azure.service.prefix ({service})")
    _dns(azure.service.dns_ip, service)
    needed = azure.nodes.count + _RESERVED_IN_A_SUBNET + 1
    if not overlay:
        needed += azure.nodes.count * azure.nodes.max_pods
    if subnet.num_addresses < needed:
        raise Misfit("azure.network.subnet_prefix", str(subnet), f"large enough for {needed} addresses")
    if pods and pods.num_addresses < azure.nodes.count * 256:
        raise Misfit("azure.pods.prefix", str(pods), f"large enough for {azure.nodes.count} nodes, a /24 each")


def _dns(text: str, service: IPv4Network) -> None:
    try:
        address = ip_address(text)
    except ValueError:
        raise Misfit("azure.service.dns_ip", text, "an IPv4 address") from None
    if not isinstance(address, IPv4Address) or address not in service:
        raise Misfit("azure.service.dns_ip", text, f"inside azure.service.prefix ({service})")
    if address in (service.network_address, service.network_address + 1, service.broadcast_address):
        raise Misfit("azure.service.dns_ip", text, f"neither the first two nor the last address of {service}")


def _range(key: str, text: str) -> IPv4Network:
    try:
        found = ip_network(text)
    except ValueError as error:
        raise Misfit(key, text, "an address range as 10.240.0.0/16", cause=str(error)) from None
    if not isinstance(found, IPv4Network):
        raise Misfit(key, text, "a range of IPv4 addresses")
    return found


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
