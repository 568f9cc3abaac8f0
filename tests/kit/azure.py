"""An Azure in this process: the sandbox's ARM in a thread, over HTTPS, and a run of steps against it.

Clusters are made without a Kubernetes behind them, and everything takes hundredths of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from sandbox.arm.arm_server import ArmServer
from sandbox.arm.azure_settings import Settings
from sandbox.arm.cloud import Cloud
from sandbox.core.node_pool import NodePool
from sandbox.server.certificates import server_context
from sandbox.server.stacks import listen
from tests.kit.engine import FakeGate, FakeGuard
from tests.kit.heard import Heard
from tests.kit.workshop import AzureControl
from workshop import settings
from workshop.azure import azure_steps as steps
from workshop.azure.connection import Azure
from workshop.runbook import Lab, Runbook, Step, Together
from workshop.runbook.events import Event, RunFinished, StepFinished, Waiting
from workshop.runbook.journal import Journal
from workshop.runbook.plan import Plan, plan
from workshop.runbook.request import Request
from workshop.runbook.runner import execute
from workshop.runbook.schedule import Job
from workshop.settings import AzureSettings

SUBSCRIPTION = "0ba4e8a4-4a5c-4f3e-9a0e-5d6c3c1f8e11"
TENANT = "5f9d1e37-86a3-4c5f-8b35-1d6a9e0c7b22"
TOKEN = "a-token"  # noqa: S105

QUICK = {
    "virtualNetworks": 0.02,
    "registries": 0.02,
    "importImage": 0.02,
    "builds": 0.02,
    "managedClusters": 0.05,
    "provider": 0.05,
}
_converged: list[tuple[bytes, bytes]] = []
"""What Azure and the journal are after `converge`, once somebody has asked for it."""

HELD = 600.0
"""As long as a test holds an operation: `Session.converge_held` lets it go on."""


class _Stack:
    host = "cluster.example"

    def kubeconfig(self, context: str, user: str) -> bytes:
        return b""

    def scale(self, pool: NodePool) -> None:
        return

    async def stop(self) -> None:
        return


class _Stacks:
    async def start(self, name: str, pool: NodePool) -> _Stack:
        return _Stack()


class Arm(AzureControl):
    """Azure's control plane; a context manager that runs it in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @classmethod
    def at(cls, url: str, ca: Path) -> Arm:
        """One that another process runs."""
        arm = cls(ca.parent)
        arm.url, arm.ca = url, ca
        return arm

    def __enter__(self) -> Arm:
        self._thread.start()
        context, authority = server_context(("127.0.0.1",), self._folder)
        self.ca = self._folder / "ca.pem"
        self.ca.write_bytes(authority)
        self._server_side = context
        self._do(self._start())
        return self

    def __exit__(self, *error: object) -> None:
        self._do(self._server.stop())
        self._do(_end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        listener = listen("127.0.0.1", 0)
        self.url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings().changed({"durations": QUICK})
        self.cloud = Cloud(self.url, SUBSCRIPTION, TENANT, settings, _Stacks())
        self._server = ArmServer(self.cloud, TOKEN)
        await self._server.start(listener, self._server_side)

    def reset(self) -> None:
        """A fresh one, at another port."""
        self._do(self._server.stop())
        self._do(self._start())

    def tell(self) -> bytes:
        """All that is there, as a saved sandbox has it."""

        async def told() -> bytes:
            return msgspec.json.encode(self._server.state.tell())

        said: bytes = self._do(told())
        return said

    def put_back(self, told: bytes) -> None:
        """Into a fresh one."""

        async def put() -> None:
            self._server.state.put_back(msgspec.json.decode(told))
            clusters = self.cloud.of_type("Microsoft.ContainerService/managedClusters")
            self._server.state.stacks.update((each.id.lower(), _Stack()) for each in clusters)

        self._do(put())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def place(self) -> dict[str, str]:
        return {"url": self.url, "token": TOKEN, "ca": str(self.ca)}

    @property
    def asked(self) -> int:
        """How many requests have come."""
        return len(self._server._control._log)

    def sent(self, *methods: str, accepted: bool = False) -> list[str]:
        """ "PUT mesh-workshop/aks-vnet", in the order they came."""
        return [
            said(each)
            for each in self.requests()
            if each["method"] in methods and (each["accepted"] or not accepted)
        ]

    def until(self, method: str, path: str) -> None:
        """Wait until such a request has come."""
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            if any(each["method"] == method and path in each["path"] for each in self.requests()):
                return
            time.sleep(0.01)
        raise AssertionError(f"no {method} {path} came")


async def _end_all() -> None:
    """Answers that are still delayed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def short(path: str) -> str:
    """Group and name of a resource's path; of a role assignment, its scope's."""
    scope, _, role = path.partition("/providers/Microsoft.Authorization/roleAssignments/")
    parts = scope.strip("/").split("/")
    name = parts[-1] if len(parts) <= 4 else f"{parts[3]}/{parts[-1]}"
    return f"role {role[:8]} on {name}" if role else name


def said(request: dict[str, Any]) -> str:
    return f"{request['method']} {short(request['path'])}"


@dataclass(frozen=True)
class _Token:
    expires_on: int
    token: str = TOKEN


@dataclass
class Credential:
    """Counts how often a token was asked for."""

    tokens: list[str] = field(default_factory=lambda: [TOKEN])
    asked: int = 0

    def get_token(self, *scopes: str, **options: Any) -> Any:
        token = self.tokens[min(self.asked, len(self.tokens) - 1)]
        self.asked += 1
        return _Token(int(time.time()) + 3600, token)


def profile(**changed: Any) -> AzureSettings:
    """The default profile's, with what is changed."""
    everything = settings.from_config(settings.read_profile(settings.DEFAULT_PROFILE))
    return msgspec.structs.replace(everything.azure, **changed)


def runbook() -> Runbook:
    """The labs' steps, but for the credentials, which need a Kubernetes."""
    parts = {
        "azure.group": (Together((steps.group("Group", "primary"), steps.group("Second group", "secondary"))),),
        "azure.vnet": (
            Together(
                (
                    steps.network("Network"),
                    steps.identity("Identity"),
                    steps.network("Second network", "secondary"),
                    steps.identity("Second identity", "secondary"),
                )
            ),
            Together((steps.role("Role"), steps.role("Second role", "secondary"))),
        ),
        "azure.acr": (steps.registry("Registry"), steps.images("Images"), steps.own_images("Own images")),
        "azure.aks": (steps.cluster("Cluster"), steps.role("Pull", purpose="pull")),
        "azure.aks-secondary": (
            steps.cluster("Second cluster", "secondary"),
            steps.role("Second pull", "secondary", "pull"),
        ),
    }
    needs = {
        "azure.vnet": ("azure.group",),
        "azure.acr": ("azure.group",),
        "azure.aks": ("azure.vnet", "azure.acr"),
        "azure.aks-secondary": ("azure.vnet", "azure.acr"),
    }
    labs = [Lab(name, name, name, steps, needs.get(name, ())) for name, steps in parts.items()]
    return Runbook((*labs, Lab("azure.cleanup", "Clean up", "", undoes=tuple(parts))))


def lab_of(*parts: Step) -> Runbook:
    return Runbook((Lab("azure.one", "One", "", parts), Lab("azure.cleanup", "", "", undoes=("azure.one",))))


@dataclass
class Session(Heard):
    """Runs against an Arm, one after the other, with one state folder."""

    arm: Arm
    folder: Path
    runbook: Runbook = field(default_factory=runbook)
    settings: AzureSettings = field(default_factory=profile)
    credential: Credential = field(default_factory=Credential)
    events: list[Event] = field(default_factory=list)
    clusters_asked: tuple[Any, ...] = ("primary", "secondary")
    is_host: Callable[[str], bool] | None = None
    free: bool = False
    gate: FakeGate = field(default_factory=FakeGate)
    guard: FakeGuard = field(default_factory=lambda: FakeGuard(disposable=True))
    timeout: float = 2.0
    backoff: float = 0.01
    polling: float = 0.01

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal.sqlite")

    @property
    def azure(self) -> Azure:
        return Azure(
            SUBSCRIPTION,
            TENANT,
            self.settings,
            self.folder / "kubeconfig",
            endpoint=self.arm.url,
            ca=self.arm.ca,
            credential=lambda: self.credential,  # type: ignore[arg-type, return-value]
            polling=self.polling,
            backoff=self.backoff,
            timeout=self.timeout,
            clusters_asked=self.clusters_asked,
            is_host=self.is_host,
            free=self.free,
        )

    @property
    def toolbox(self) -> dict[type, object]:
        return {Azure: self.azure, Journal: self.journal}

    def forget(self) -> None:
        """The state folder is as new."""
        for file in self.folder.glob("journal.sqlite*"):
            file.unlink()

    def job(self, request: Request) -> Job:
        return Job(self.runbook, request, self.toolbox, self.events.append, "sandbox")

    async def run(self, *labs: str, **asked: Any) -> int:
        self.events.clear()
        names = labs or tuple(lab.name for lab in self.runbook.labs if not lab.undoes)
        request = Request(names, command="invoke lab.azure", program="invoke -f here.yaml", **asked)
        return await execute(self.job(request), self.guard, self.gate)

    async def converge(self, *labs: str, **asked: Any) -> list[str]:
        """The outcomes of the steps, in the order they ended."""
        status = await self.run(*labs, **asked)
        assert status == 0, self.errors
        return self.outcomes

    async def start_converged(self) -> None:
        """As `converge` from nothing leaves everything: Azure and the journal are those of a run that is made once
        in this process."""
        assert self.settings == profile(), "the run was another profile's"
        assert not self.arm.asked, "it is not from nothing"
        if not _converged:
            with TemporaryDirectory() as name, Arm(Path(name)) as arm:
                made = Session(arm, Path(name))
                await made.converge()
                with contextlib.closing(sqlite3.connect(made.journal.path)) as journal:
                    _converged.append((arm.tell(), journal.serialize()))
        ((told, journal_file),) = _converged
        self.arm.put_back(told)
        self.journal.path.write_bytes(journal_file)

    async def converge_held(self, held: str, *labs: str) -> None:
        """That, while Azure works on what has `held` in its title, and ends it when the run waits for it."""

        async def let_go() -> None:
            while not any(held in each.what for each in self.of(Waiting)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            self.arm.set(durations=QUICK)

        self.events.clear()
        async with asyncio.TaskGroup() as both:
            running = both.create_task(self.converge(*labs))
            waiting = both.create_task(let_go())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            assert waiting.done(), "it did not wait"

    async def plan(self, *labs: str) -> Plan:
        names = labs or tuple(lab.name for lab in self.runbook.labs if not lab.undoes)
        return await plan(self.job(Request(names)))

    @property
    def steps(self) -> list[StepFinished]:
        return self.of(StepFinished)

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.steps]

    @property
    def changed(self) -> list[str]:
        return [event.title for event in self.steps if event.outcome == "changed"]

    @property
    def errors(self) -> list[Exception]:
        refused = [event.error for event in self.of(RunFinished) if event.error]
        return [event.error for event in self.steps if event.error] + refused


def twice(sent: Iterable[str]) -> list[str]:
    """What was sent more than once."""
    seen: set[str] = set()
    return [each for each in sent if each in seen or seen.add(each)]  # type: ignore[func-returns-value]


def change(session: Session, **changed: Any) -> None:
    """Parts of the settings are given as their own changes: `nodes={"count": 2}`."""
    for name, value in changed.items():
        if isinstance(value, dict):
            changed[name] = msgspec.structs.replace(getattr(session.settings, name), **value)
    session.settings = msgspec.structs.replace(session.settings, **changed)
