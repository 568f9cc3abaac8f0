"""What makes a cluster act: small controllers, each with a queue of its own, over the in-process API."""

from __future__ import annotations

import asyncio
from typing import Any

from sandbox.controllers.autoscalers import Autoscalers
from sandbox.controllers.controller import Controller
from sandbox.controllers.cron_jobs import CronJobs
from sandbox.controllers.deployments import Deployments
from sandbox.controllers.endpoints import EndpointsOfServices
from sandbox.controllers.events import EventExpiry
from sandbox.controllers.jobs import Jobs
from sandbox.controllers.namespaces import (
    ApiServerService,
    NamespaceContent,
    Namespaces,
    keep_first_namespaces,
    require_service_account,
)
from sandbox.controllers.ownership import GarbageCollector
from sandbox.controllers.replicasets import ReplicaSets
from sandbox.controllers.scheduler import LostPods, Scheduler
from sandbox.controllers.service_addresses import LoadBalancers, ServiceAddresses
from sandbox.controllers.unsupported_fields import require_support
from sandbox.core.addresses import Network
from sandbox.core.cluster import AdmissionHook, Cluster


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
        Jobs(cluster),
        CronJobs(cluster),
        Scheduler(cluster),
        LostPods(cluster),
        EndpointsOfServices(cluster),
        LoadBalancers(cluster, network),
        GarbageCollector(cluster),
        Namespaces(cluster),
        Autoscalers(cluster),
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
