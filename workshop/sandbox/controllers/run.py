"""All controllers of a cluster, as one task."""

from __future__ import annotations

import asyncio
from typing import Any

from ..cluster import AdmissionHook, Cluster
from ..network import Network
from .autoscalers import Autoscalers
from .controller import Controller
from .deployments import Deployments
from .disruption_budgets import DisruptionBudgets
from .endpoints import EndpointsOfServices
from .events import EventExpiry
from .evictions import Evictions
from .first_objects import ApiServerService, NamespaceContent, require_service_account
from .garbage import GarbageCollector
from .load_balancers import LoadBalancers
from .lost_pods import LostPods
from .namespaces import Namespaces, keep_first_namespaces
from .replicasets import ReplicaSets
from .scheduler import Scheduler
from .service_addresses import ServiceAddresses
from .support import require_support


async def run(cluster: Cluster, network: Network, certificates: str = "") -> None:
    """Control `cluster` until cancelled.

    `certificates` (PEM) are what clients should trust the API server by; every namespace shows them.
    """
    addresses = ServiceAddresses(cluster, network)
    hooks: list[AdmissionHook] = [
        keep_first_namespaces,
        require_support,
        addresses,
        require_service_account(cluster),
    ]
    controllers: list[Controller[Any]] = [
        NamespaceContent(cluster, certificates),
        ApiServerService(cluster, network, addresses.api_server),
        Deployments(cluster),
        ReplicaSets(cluster),
        Scheduler(cluster),
        LostPods(cluster),
        Evictions(cluster),
        EndpointsOfServices(cluster),
        LoadBalancers(cluster, network),
        GarbageCollector(cluster),
        Namespaces(cluster),
        Autoscalers(cluster),
        DisruptionBudgets(cluster),
        EventExpiry(cluster),
    ]
    cluster.admission.extend(hooks)
    try:
        async with asyncio.TaskGroup() as tasks:
            for controller in controllers:
                tasks.create_task(controller.run(), name=type(controller).__name__)
    finally:
        for hook in hooks:
            cluster.admission.remove(hook)
