"""The address plan: clusters side by side share no address, and each address tells what it is."""

from __future__ import annotations

import ipaddress
import itertools

from sandbox.core.addresses import NODES, QUARTERS, Network, is_cluster_ip, is_load_balancer, is_pod


def test_what_an_address_is_of_every_quarter_of_a_block() -> None:
    for quarter in QUARTERS:
        network = Network(64, quarter)
        pod, balancer = network.pods.take(), network.load_balancers.take()
        service = str(ipaddress.IPv4Network(network.service_cidr)[1])
        others = [network.api_address, network.arm_address, network.node_address(NODES - 1)]
        for asked, mine in ((is_pod, pod), (is_load_balancer, balancer), (is_cluster_ip, service)):
            assert [each for each in (pod, balancer, service, *others) if asked(each)] == [mine]


def test_clusters_share_none() -> None:
    networks = [Network(block, quarter) for block in (64, 65) for quarter in QUARTERS]
    ranges = [
        ipaddress.IPv4Network(cidr) for network in networks for cidr in (network.real_cidr, network.service_cidr)
    ]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(ranges, 2))
    for network in networks:
        real = ipaddress.IPv4Network(network.real_cidr)
        assert ipaddress.IPv4Network(network.pod_cidr).subnet_of(real)
        for address in (network.api_address, network.node_address(NODES - 1), network.load_balancers.take()):
            assert ipaddress.IPv4Address(address) in real
