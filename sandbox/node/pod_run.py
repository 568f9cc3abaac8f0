"""One pod on this node, from its address to its end.

Sidecars are init containers with `restartPolicy: Always`: each has started before what comes after it, goes on
beside the pod's containers and ends when these have, the last one first.

Ending loses no request: the pod first says that it is not ready, so that it leaves the EndpointSlices; then its
containers finish what they have in flight (sidecars after the others, for these may still call through them);
then the object goes. `terminationGracePeriodSeconds` bounds all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any, Literal

from sandbox.controllers import events
from sandbox.core.addresses import Network
from sandbox.core.cluster import Cluster, Object
from sandbox.core.objects import timestamp
from sandbox.images.container_files import Content
from sandbox.images.program import Container, Factory, Streams
from sandbox.network.directory import Directory
from sandbox.network.pod_network import PodNetwork
from sandbox.node.container_run import ContainerRun
from sandbox.node.environment import Environment, NotConfigured

MANAGER = "kubelet"
_ADDRESS_REST = 5.0
"""Seconds before a pod's address is given to another, so that nobody's old connections reach that one."""
_LAST_WORDS = 0.1
"""Seconds for a container that was stopped to say how it ended. One that waits to be restarted does not end."""
_REDIRECTION = "istio-init"


log = logging.getLogger(__name__)


def _log_failure(task: asyncio.Task[None]) -> None:
    """A pod that fails here, rather than in its program, must not go unnoticed."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed", task.get_name(), exc_info=error)


class PodRun:
    """Made for a pod bound to this node; `update` and `removed` tell what became of the object."""

    def __init__(
        self,
        pod: Object,
        cluster: Cluster,
        network: Network,
        directory: Directory,
        programs: Mapping[str, Factory],
        host_ip: str,
    ) -> None:
        self.pod = pod
        self.host_ip = host_ip
        self.started_at = timestamp()
        self.initialized = self.terminating = False
        self._cluster, self._addresses = cluster, network.pods
        self.ip = _address(network, pod)
        self.network = PodNetwork(network, directory, self.ip, pod["metadata"]["namespace"])
        spec = pod["spec"]
        waiting = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        self.init = [
            ContainerRun(self, one, programs, waiting="PodInitializing") for one in spec.get("initContainers") or ()
        ]
        self.containers = [ContainerRun(self, one, programs, waiting=waiting) for one in spec["containers"]]
        self._volumes: dict[str, Content] = {}
        self._sidecars: list[asyncio.Task[None]] = []
        self._status_due = False
        self._task = asyncio.create_task(self._live(), name=f"pod {pod['metadata']['name']}")
        self._task.add_done_callback(_log_failure)
        self._ending: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    def container_run(self, name: str) -> ContainerRun | None:
        return next((run for run in (*self.containers, *self.init) if run.name == name), None)

    # What containers ask.

    def container(self, spec: Object, streams: Streams) -> Container:
        environment = self._environment()
        self._renew_volumes(environment)
        files = environment.files(spec, self._volumes)
        return Container(self.pod, spec, environment.variables(spec), files, self.network, streams)

    def _environment(self) -> Environment:
        return Environment(self._cluster, self.pod, self.ip, self.host_ip)

    def record_event(
        self, reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal", *, container: str = ""
    ) -> None:
        path = None
        if container:
            of_init = any(run.name == container for run in self.init)
            path = f"spec.{'initContainers' if of_init else 'containers'}{{{container}}}"
        host = self.pod["spec"]["nodeName"]
        events.record(self._cluster, self.pod, reason, message, kind, MANAGER, host=host, field_path=path)

    def changed(self) -> None:
        """Write the status soon: several changes of one moment are one write."""
        if not self._status_due:
            self._status_due = True
            asyncio.get_running_loop().call_soon(self._write_status)

    def _write_status(self) -> None:
        self._status_due = False

        def change(live: Object) -> None:
            if live["metadata"]["uid"] == self.pod["metadata"]["uid"]:
                live["status"] = _status(self, live)

        metadata = self.pod["metadata"]
        self._cluster.edit(
            "pods", metadata["namespace"], metadata["name"], change, manager=MANAGER, subresource="status"
        )

    # Its life.

    async def _live(self) -> None:
        self.changed()
        await self._mount()
        policy = self.pod["spec"].get("restartPolicy", "Always")
        for run in self.init:
            if not await self._initialize(run, policy):
                return
        self.initialized = True
        for run in self.containers:
            if "waiting" in run.state:
                run.state = {"waiting": {"reason": "ContainerCreating"}}
        async with asyncio.TaskGroup() as group:
            for run in self.containers:
                group.create_task(run.run(policy))
        if not self.terminating:
            await self._stop_sidecars(float(self.pod["spec"].get("terminationGracePeriodSeconds", 30)))
        self.changed()

    async def _initialize(self, run: ContainerRun, policy: str) -> bool:
        """Whether the pod goes on after this init container."""
        if run.is_sidecar:
            self._sidecars.append(asyncio.create_task(run.run("Always")))
            await run.serving.wait()
            return True
        await run.run("OnFailure" if policy == "Always" else policy)
        if run.exit_code == 0 and run.name == _REDIRECTION:
            self.network.sidecar = True
        return run.exit_code == 0

    async def _mount(self) -> None:
        while True:
            try:
                self._volumes = self._environment().volumes()
            except NotConfigured as error:
                self.record_event("FailedMount", f"MountVolume.SetUp failed: {error}", "Warning")
                await asyncio.sleep(1)
            else:
                return

    def _renew_volumes(self, environment: Environment) -> None:
        """A kubelet brings what ConfigMaps and Secrets say up to date within a minute or so; here a container that
        starts again finds it. What is gone meanwhile stays as it was, and so does what containers write."""
        for volume in self.pod["spec"].get("volumes") or ():
            with contextlib.suppress(NotConfigured):
                if (content := environment.filled(volume)) is not None:
                    self._volumes[volume["name"]].clear()
                    self._volumes[volume["name"]].update(content)

    def update(self, pod: Object) -> None:
        """The object changed."""
        self.pod = pod
        every = (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ()))
        specs = {spec["name"]: spec for spec in every}
        for run in (*self.containers, *self.init):
            run.update(specs[run.name])
        if pod["metadata"].get("deletionTimestamp") and self._ending is None:
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            self._ending = asyncio.create_task(self._terminate(grace), name=f"end of pod {self.name}")
            self._ending.add_done_callback(_log_failure)

    async def _terminate(self, grace: float) -> None:
        self.terminating = True
        self._write_status()
        for run in (*self.init, *self.containers):
            if run.running:
                self.record_event("Killing", f"Stopping container {run.name}", container=run.name)
        deadline = time.monotonic() + grace
        others = (run for run in (*self.init, *self.containers) if not run.is_sidecar)
        await asyncio.gather(*(run.stop(grace) for run in others))
        await self._stop_sidecars(max(0.0, deadline - time.monotonic()))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._write_status()
        metadata = self.pod["metadata"]
        self._cluster.delete("pods", metadata["namespace"], metadata["name"], grace_seconds=0, uid=metadata["uid"])

    async def _stop_sidecars(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        for run in reversed(self.init):
            if run.is_sidecar:
                await run.stop(max(0.0, deadline - time.monotonic()))
        if self._sidecars:
            await asyncio.wait(self._sidecars, timeout=_LAST_WORDS)
        for task in self._sidecars:
            task.cancel()
        await asyncio.gather(*self._sidecars, return_exceptions=True)

    async def removed(self) -> None:
        """The object is gone (or the node stops): end whatever still runs, at once."""
        current = asyncio.current_task()
        for task in (self._ending, self._task, *self._sidecars):
            if task is not None and task is not current:
                task.cancel()
        pending = [task for task in (self._ending, self._task, *self._sidecars) if task]
        await asyncio.gather(*pending, return_exceptions=True)
        self.network.http.close()
        asyncio.get_running_loop().call_later(_ADDRESS_REST, self._addresses.give_back, self.ip)


def _address(network: Network, pod: Object) -> str:
    """What a pod had in the sandbox whose state this one has been loaded with; else the next one."""
    had = (pod.get("status") or {}).get("podIP")
    with contextlib.suppress(ValueError):
        if had:
            return network.pods.take(had)
    return network.pods.take()


def _status(run: PodRun, live: Object) -> dict[str, Any]:
    """The status to write; what the API server and the scheduler said (qosClass, PodScheduled) stays."""
    old = live.get("status") or {}
    phase = _phase(run)
    status = {
        **old,
        "phase": phase,
        "hostIP": run.host_ip,
        "hostIPs": [{"ip": run.host_ip}],
        "podIP": run.ip,
        "podIPs": [{"ip": run.ip}],
        "startTime": run.started_at,
        "conditions": _conditions(run, phase, old.get("conditions") or []),
        "containerStatuses": [one.status() for one in run.containers],
    }
    if run.init:
        status["initContainerStatuses"] = [
            {**one.status(), "ready": one.ready or (one.exit_code == 0 and not one.is_sidecar)} for one in run.init
        ]
    return status


def _phase(run: PodRun) -> str:
    sidecars = [one for one in run.init if one.is_sidecar]
    failed = any(one.exit_code for one in run.init if one not in sidecars)
    if failed and run.pod["spec"].get("restartPolicy") == "Never":
        return "Failed"
    if not run.initialized or all("waiting" in one.state and not one.last_state for one in run.containers):
        return "Pending"
    policy = run.pod["spec"].get("restartPolicy", "Always")
    codes = [one.exit_code for one in run.containers]
    if any(one.running for one in sidecars):
        return "Running"
    if None in codes or (policy != "Never" and not run.terminating and (policy == "Always" or any(codes))):
        return "Running"
    return "Failed" if any(codes) else "Succeeded"


def _conditions(run: PodRun, phase: str, old: list[Object]) -> list[Object]:
    unready = [one.name for one in run.containers if not one.ready]
    sidecars = [one.name for one in run.init if one.is_sidecar and not one.ready]
    containers = (
        _unready("ContainersNotReady", [*sidecars, *unready]) if unready or sidecars else {"status": "True"}
    )
    if phase in ("Succeeded", "Failed"):
        containers = {"status": "False", "reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    ready = {"status": "False", "reason": "PodTerminating"} if run.terminating else containers
    unfinished = [one.name for one in run.init if one.exit_code != 0 and not one.serving.is_set()]
    initialized = {"status": "True"}
    if not run.initialized:
        initialized = {
            "status": "False",
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: [{' '.join(unfinished)}]",
        }
    generation = run.pod["metadata"].get("generation")
    wanted = {
        "PodReadyToStartContainers": {"status": "True"},
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": containers,
    }
    known = {condition["type"]: condition for condition in old}
    conditions = []
    for kind, state in wanted.items():
        before = known.pop(kind, {})
        since = before.get("lastTransitionTime") if before.get("status") == state["status"] else None
        condition = {"type": kind, **state, "lastProbeTime": None, "lastTransitionTime": since or timestamp()}
        if generation:
            condition["observedGeneration"] = generation
        conditions.append(condition)
    return [*conditions, *known.values()]


def _unready(reason: str, names: list[str]) -> dict[str, str]:
    return {"status": "False", "reason": reason, "message": f"containers with unready status: [{' '.join(names)}]"}
