"""One container of a pod on this node: its program, restarts, probes and logs."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
import uuid
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from sandbox.core.cluster import Object
from sandbox.core.objects import timestamp
from sandbox.images import TAGS, commands, missing
from sandbox.images.program import Container, Factory, Program, ProgramError, Streams, repository
from sandbox.node.container_log import ContainerLog
from sandbox.node.environment import NotConfigured
from sandbox.node.probes import Health, Prober

FIRST_BACKOFF, LONGEST_BACKOFF, FORGIVEN_AFTER = 10.0, 300.0, 600.0
"""Seconds, as a kubelet's: a crash is restarted at once, the next one 10 s later, then twice as long each time."""

KILLED = 137


class Pod(Protocol):
    """What a container asks of its pod."""

    def container(self, spec: Object, streams: Streams) -> Container:
        """Raises NotConfigured."""
        ...

    def changed(self) -> None: ...

    def record_event(
        self, reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal", *, container: str = ""
    ) -> None: ...


class Stopped(Exception):
    """The container was asked to stop while it was not running."""


def _longer(backoff: float) -> float:
    return min(max(backoff * 2, FIRST_BACKOFF), LONGEST_BACKOFF)


class ContainerRun:
    """Runs `spec`'s program again and again, as the restart policy says. `state` is a ContainerState."""

    def __init__(self, pod: Pod, spec: Object, programs: Mapping[str, Factory], *, waiting: str) -> None:
        self.spec = spec
        self.state: Object = {"waiting": {"reason": waiting}}
        self.last_state: Object = {}
        self.restarts = 0
        self.started = False
        self.log = ContainerLog()
        self.previous_log: ContainerLog | None = None
        self.program: Program | None = None
        self.serving = asyncio.Event()
        """Set once the program serves and its startup probe, if any, has succeeded."""
        self.stdin = asyncio.StreamReader()
        self.attached = False
        """Whether anybody has attached to this run."""
        self.told = 0
        """How many bytes of this run's log somebody has read before that."""
        self._pod, self._programs = pod, programs
        self._probed_ready = False
        self._stopping = False
        self._kill: asyncio.Future[int] | None = None
        self._changed = asyncio.Event()
        self._id = ""

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def is_sidecar(self) -> bool:
        """An init container that keeps running beside the others. Of others no policy of their own is supported."""
        return bool(self.spec.get("restartPolicy") == "Always")

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def ready(self) -> bool:
        return self.running and self.started and self._probed_ready

    @property
    def awaits_client(self) -> bool:
        """Whether it was started for somebody to talk to who has not come yet."""
        return bool(self.spec.get("stdin")) and not self.attached

    @property
    def container_id(self) -> str:
        return f"sandbox://{self._id}" if self._id else ""

    @property
    def exit_code(self) -> int | None:
        terminated = self.state.get("terminated")
        return None if terminated is None else int(terminated["exitCode"])

    async def run(self, policy: str) -> None:
        """Until the restart policy says it is over, or `stop`."""
        backoff = 0.0
        while not self._stopping:
            begun = time.monotonic()
            code = await self._once()
            if self._stopping or policy == "Never" or (policy == "OnFailure" and code == 0):
                return
            backoff = 0.0 if time.monotonic() - begun > FORGIVEN_AFTER else backoff
            if backoff:
                self._crash_loop(backoff)
                await asyncio.sleep(backoff)
            backoff = _longer(backoff)
            self.restarts += 1

    def _crash_loop(self, seconds: float) -> None:
        self.last_state = self.state
        message = f"back-off {seconds:.0f}s restarting failed container={self.name}"
        self._wait("CrashLoopBackOff", message)
        self._event("BackOff", f"Back-off restarting failed container {self.name}", "Warning")

    def _event(self, reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal") -> None:
        self._pod.record_event(reason, message, kind, container=self.name)

    def _wait(self, reason: str, message: str = "") -> None:
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self._pod.changed()

    async def _once(self) -> int:
        """One run of the program; its exit status."""
        factory = await self._image()
        self.stdin, self.attached, self.told = asyncio.StreamReader(), False, 0
        if self._id:
            self.previous_log, self.log = self.log, ContainerLog()
            if "terminated" in self.state:
                self.last_state = self.state
        container = await self._configured(
            Streams(self.stdin, self.log.out, self.log.err, bool(self.spec.get("tty")))
        )
        self._id = uuid.uuid4().hex * 2
        began = timestamp()
        self._event("Created", f"Container created: {self.name}")
        self._event("Started", f"Container started: {self.name}")
        self.state = {"running": {"startedAt": began}}
        self._kill = asyncio.get_running_loop().create_future()
        reason, code = "Error", 1
        try:
            code = await self._live(factory, container)
            reason = "Completed" if code == 0 else "Error"
        except ProgramError as error:
            code = error.exit_code
            container.streams.err(f"{error}\n".encode())
        except asyncio.CancelledError:
            code = KILLED
            raise
        except Exception:
            container.streams.err(traceback.format_exc().encode())
        finally:
            self.started = self._probed_ready = False
            self.serving.clear()
            self.program = None
            self.log.close()
            self.state = {
                "terminated": {
                    "exitCode": code,
                    "reason": reason,
                    "startedAt": began,
                    "finishedAt": timestamp(),
                    "containerID": self.container_id,
                }
            }
            self._pod.changed()
        return code

    async def _image(self) -> Factory:
        """The image's program. While it is unknown, wait for the pod to name another one."""
        pause = FIRST_BACKOFF
        while why := missing(self.spec["image"], self._programs):
            image = self.spec["image"]
            message = f"{why}; {self._instead(repository(image))}"
            self._event("Pulling", f'Pulling image "{image}"')
            self._event("Failed", f'Failed to pull image "{image}": {message}', "Warning")
            self._event("Failed", "Error: ErrImagePull", "Warning")
            self._wait("ErrImagePull", message)
            await self._image_changes(image, 1.0)
            if self.spec["image"] == image:
                self._wait("ImagePullBackOff", f'Back-off pulling image "{image}": {message}')
                self._event("BackOff", f'Back-off pulling image "{image}"', "Warning")
                await self._image_changes(image, pause)
                pause = _longer(pause)
        image = self.spec["image"]
        self._event("Pulled", f'Container image "{image}" already present on machine')
        return self._programs[repository(image)]

    def _instead(self, name: str) -> str:
        if name in self._programs:
            return f"the tags of it that the sandbox has are {', '.join(TAGS[name])}"
        return f"the images it knows are {', '.join(sorted(self._programs))}"

    async def _image_changes(self, image: str, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.spec["image"] == image:
                    await self._changed.wait()
                    self._changed.clear()

    def update(self, spec: Object) -> None:
        """The pod's spec was edited: only an image can have changed, and then the container starts anew."""
        changed = spec["image"] != self.spec["image"]
        self.spec = spec
        if changed:
            self._changed.set()
            if self.program is not None:
                self._event("Killing", f"Container {self.name} definition changed, will be restarted")
                self._restart()

    async def _configured(self, streams: Streams) -> Container:
        while True:
            try:
                return self._pod.container(self.spec, streams)
            except NotConfigured as error:
                self._event("Failed", f"Error: {error}", "Warning")
                self._wait("CreateContainerConfigError", str(error))
                await asyncio.sleep(1)

    async def _live(self, factory: Factory, container: Container) -> int:
        """From start to end of one run; the exit status."""
        assert self._kill is not None
        self.program = program = commands.program(container) or factory(container)
        self._pod.changed()
        begun = asyncio.Event()
        life = asyncio.create_task(self._serve(program, container, begun), name=f"{container.pod_name}/{self.name}")
        try:
            await asyncio.wait({life, self._kill}, return_when=asyncio.FIRST_COMPLETED)
            return await life if life.done() and not self._kill.done() else self._kill.result()
        finally:
            life.cancel()
            try:
                await asyncio.gather(life, return_exceptions=True)
            finally:  # also where nobody waits any longer: a start that is cut off may just have opened something
                if not (self._kill.done() and begun.is_set()):
                    await program.stop(0)

    async def _serve(self, program: Program, container: Container, begun: asyncio.Event) -> int:
        await program.start()
        begun.set()
        health = Health(self.spec, Prober(self.spec, container.network, self._execute), self._on_health)
        try:
            if not await health.begun():
                raise ProgramError(f"Container {self.name} failed startup probe", KILLED)
            self.started = True
            self._probed_ready = health.ready
            health.watch()
            self.serving.set()
            self._pod.changed()
            return await program.wait()
        finally:
            await health.stop()

    def _on_health(self, health: Health, failed: str, message: str) -> None:
        if self._stopping:
            return
        if failed:
            self._event("Unhealthy", f"{failed} probe failed: {message}", "Warning")
        if failed == "Liveness":
            why = f"Container {self.name} failed liveness probe, will be restarted"
            self._event("Killing", why)
            self._restart()
        if self.started and health.ready != self._probed_ready:
            self._probed_ready = health.ready
            self._pod.changed()

    async def _execute(self, command: list[str]) -> tuple[int, str]:
        output = bytearray()
        status = await self.exec(command, Streams(out=output.extend, err=output.extend))
        return status, output.decode(errors="replace")

    async def exec(self, command: list[str], streams: Streams) -> int:
        """Run a command in the container. Raises commands.NotFound, Stopped."""
        if self.program is None:
            raise Stopped(self.name)
        status = await self.program.exec(command, streams)
        return await commands.run(command, self.program.container, streams) if status is None else status

    def _restart(self) -> None:
        asyncio.get_running_loop().create_task(self._end(30))

    async def _end(self, grace: float) -> None:
        if self.program is not None and self._kill is not None and not self._kill.done():
            program, kill = self.program, self._kill
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace + 1):
                    await program.stop(grace)
            if not kill.done():
                kill.set_result(0)

    async def stop(self, grace: float) -> None:
        """For good. The state stays; `run` returns."""
        self._stopping = True
        begun = time.monotonic()
        if grace > 0 and self.running and (hook := (self.spec.get("lifecycle") or {}).get("preStop")):
            await self._before_the_end(hook, grace)
        await self._end(max(0.0, grace - (time.monotonic() - begun)))

    async def _before_the_end(self, hook: Object, grace: float) -> None:
        """What the container wants done before it is stopped, as part of the grace period."""
        try:
            async with asyncio.timeout(grace):
                if "sleep" in hook:
                    await asyncio.sleep(hook["sleep"]["seconds"])
                    return
                status, said = await self._execute(hook["exec"]["command"])
                failed = f"{said.strip()} (exit status {status})" if status else ""
        except (TimeoutError, Stopped, commands.NotFound) as error:
            failed = str(error) or "the grace period is over"
        if failed:
            self._event("FailedPreStopHook", f"PreStopHook failed: {failed}", "Warning")

    def status(self) -> dict[str, Any]:
        """A ContainerStatus."""
        image = self.spec["image"]
        return {
            "name": self.name,
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "restartCount": self.restarts,
            "image": image,
            "imageID": f"sandbox/{repository(image)}" if self._id else "",
            **({"containerID": self.container_id} if self._id else {}),
            "started": self.started,
        }
