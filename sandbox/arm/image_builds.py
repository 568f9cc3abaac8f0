"""Runs of ACR Tasks: builds of images from Git repositories (`scheduleRun`), as far as one can see from outside.

Nothing is fetched and nothing is built: a run takes its time and ends, and then the registry has the images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from sandbox.arm.cloud import Cloud, Operation, Resource
from sandbox.arm.protocol import (
    NOT_SUPPORTED,
    Answer,
    ArmError,
    Body,
    Call,
    Fields,
    Flag,
    Items,
    Number,
    Text,
    invalid,
    unused,
)

TYPE = "Microsoft.ContainerRegistry/registries/runs"
_GIT = r"^https://[^\s#]+\.git(#[-\w./]*(:[-\w./]+)?)?$"
_TAGGED = r"^[a-z0-9]+([._/-][a-z0-9]+)*:[\w][\w.-]{0,127}$"
_REQUEST = Fields(
    {
        "type": Text("DockerBuildRequest"),
        "sourceLocation": Text(
            pattern=_GIT, meaning="a Git repository over https (https://HOST/PATH.git#REF:FOLDER)"
        ),
        "dockerFilePath": Text(),
        "imageNames": Items(Text(pattern=_TAGGED, meaning="a repository with a tag")),
        "isPushEnabled": Flag(only=True),
        "platform": Fields(
            {"os": Text("Linux"), "architecture": Text("amd64"), **unused("variant")}, required=("os",)
        ),
        "timeout": Number(300, 28800),
        "agentConfiguration": Fields(unused(cpu=2)),
        **unused("arguments", "credentials", "target", "agentPoolName", "logTemplate"),
        **unused(noCache=False, isArchiveEnabled=False),
    },
    required=("type", "sourceLocation", "dockerFilePath", "imageNames", "platform"),
)
_NOT_SUCCEEDED = ("Failed", "Canceled", "Error", "Timeout")


@dataclass(slots=True)
class BuildRun:
    id: str
    images: tuple[str, ...]
    status: str = "Queued"
    message: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None

    def show(self, registry: Resource) -> Body:
        """Which images it makes is said only once it has made them."""
        properties: Body = {
            "runId": self.id,
            "runType": "QuickBuild",
            "status": self.status,
            "createTime": self.created.isoformat(),
            "platform": {"os": "linux", "architecture": "amd64"},
            "agentConfiguration": {"cpu": 2},
            "provisioningState": self.status if self.status in ("Succeeded", "Failed", "Canceled") else "Creating",
            "isArchiveEnabled": False,
        }
        for name, when in (("startTime", self.started), ("finishTime", self.finished)):
            if when:
                properties[name] = when.isoformat()
        if self.message:
            properties["runErrorMessage"] = self.message
        if self.status == "Succeeded":
            properties["outputImages"] = [_described(image, registry) for image in self.images]
        return {"id": f"{registry.id}/runs/{self.id}", "name": self.id, "type": TYPE, "properties": properties}


def _described(image: str, registry: Resource) -> Body:
    repository, _, tag = image.partition(":")
    digest = f"sha256:{sha256(image.encode()).hexdigest()}"
    return {
        "registry": registry.properties["loginServer"],
        "repository": repository,
        "tag": tag,
        "digest": digest,
    }


class BuildRuns:
    """The runs of all registries. `images` is what each registry has, by its id in lower case."""

    def __init__(self, cloud: Cloud, images: dict[str, set[str]]) -> None:
        self._cloud, self._images = cloud, images
        self._runs: dict[str, list[BuildRun]] = {}

    def forget(self, registry: Resource) -> None:
        self._runs.pop(registry.id.lower(), None)

    def schedule(self, registry: Resource, call: Call, operation: Operation) -> Answer:
        body = _REQUEST.check(call.body, "")
        if not body["imageNames"]:
            raise invalid("imageNames", f"a build that pushes no image is {NOT_SUPPORTED}")
        if not self._cloud.settings.tasks:
            message = (
                f"ACR Tasks requests for the registry {registry.name} and {self._cloud.subscription} are not "
                "permitted. Please file an Azure support request at http://aka.ms/azuresupport for assistance."
            )
            raise ArmError(400, "TasksOperationsNotAllowed", message, target="request")
        runs = self._runs.setdefault(registry.id.lower(), [])
        run = BuildRun(f"cb{len(runs) + 1}", tuple(body["imageNames"]))
        runs.append(run)
        queued = run.show(registry)

        async def work() -> None:
            run.status, run.started = "Running", datetime.now(UTC)
            await self._cloud.elapse("builds")
            if (failure := self._cloud.failure(TYPE)) is not None:
                raise failure

        def done(error: ArmError | None) -> None:
            run.finished = datetime.now(UTC)
            if error is not None:
                run.status = error.code if error.code in _NOT_SUCCEEDED else "Failed"
                run.message = error.message
            else:
                run.status = "Succeeded"
                self._images.setdefault(registry.id.lower(), set()).update(run.images)

        self._cloud.operations.begin(operation, work, done)
        return Answer(200, queued)

    def list(self, registry: Resource, call: Call) -> Answer:
        """The newest first."""
        for name in ("$filter", "$top", "$skiptoken"):
            if call.query.get(name):
                raise ArmError(400, "InvalidQueryParameter", f"{name} is {NOT_SUPPORTED} for runs.")
        found = self._runs.get(registry.id.lower(), [])
        return Answer(200, {"value": [run.show(registry) for run in reversed(found)]})

    def get(self, registry: Resource, call: Call) -> Answer:
        return Answer(200, self._one(registry, call).show(registry))

    def log_link(self, registry: Resource, call: Call) -> Answer:
        """It is answered like anything else here: to whoever has the token."""
        run = self._one(registry, call)
        where = f"{self._cloud.url}{registry.id}/runs/{run.id}/log"
        return Answer(200, {"logLink": f"{where}?api-version={call.version}"})

    def log(self, registry: Resource, call: Call) -> Answer:
        run = self._one(registry, call)
        lines = [f"{image}: the sandbox builds nothing" for image in run.images]
        return Answer(200, "\n".join((*lines, f"Run ID: {run.id} is {run.status}. {run.message}")))

    def _one(self, registry: Resource, call: Call) -> BuildRun:
        id_ = call.names["run"]
        for run in self._runs.get(registry.id.lower(), []):
            if run.id == id_:
                return run
        raise ArmError(404, "RunNotFound", f"The run '{id_}' was not found in the registry '{registry.name}'.")
