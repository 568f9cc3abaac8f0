"""A run for one step, without an engine: its events are kept. And objects for it, as text with NAMESPACE in it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kit.heard import Heard
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests, Object
from workshop.runbook import events
from workshop.runbook.model import Step, Timeline
from workshop.runbook.options import Options
from workshop.runbook.results import Verdict
from workshop.runbook.run import Facts, Run

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: NAMESPACE}
spec: {selector: {app: ratings}, ports: [{name: http, port: 9080}]}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: ratings-v1, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: ratings}}
  template:
    metadata: {labels: {app: ratings}}
    spec: {containers: [{name: ratings, image: "${ratings}"}]}
"""
"""It does not say how many there are to be."""


def config_map(name: str, value: str = "here") -> str:
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: NAMESPACE}}
data: {{at: "{value}"}}
"""


class Recorded(Run, Heard):
    def __init__(
        self,
        *tools: object,
        lab: str = "istio.canary",
        options: Options | None = None,
        facts: Facts | None = None,
    ) -> None:
        """`facts` are those of another run, as the labs of one run share them."""
        self.events: list[events.Event] = []
        known = facts or Facts()
        super().__init__(lab, {type(tool): tool for tool in tools}, known, options or {}, self.events.append)

    @property
    def commands(self) -> list[str]:
        """What kubectl was asked, without the options that are always the same, and the one that stays for it."""
        found = [event.argv for event in self.of(events.Command)]
        found = [argv for argv in found if "proxy" not in argv]
        always = ("--kubeconfig", "--context", "--cache-dir")
        return [" ".join(arg for arg in argv[1:] if not arg.startswith(always)) for argv in found]

    @property
    def processes(self) -> list[events.Event]:
        """Those that were started, but for the one that stays."""
        found = [event for event in self.events if isinstance(event, events.Command) and event.process]
        return [event for event in found if "proxy" not in event.argv]

    async def converge(self, step: Step) -> tuple[str, Verdict | None]:
        """As the engine does: check, and apply and verify when it must."""
        self.facts.forget()
        self.events.clear()
        if (await step.check(self)).converged:
            return "unchanged", None
        await step.apply(self)
        self.facts.forget()
        verdict = await step.verify(self)
        check = await step.check(self)
        assert check.converged, check.differences
        return "changed", verdict

    async def take_back(self, step: Step | Timeline) -> str:
        """As the engine does: undo, and wait until nothing is left."""
        self.facts.forget()
        self.events.clear()
        if (await step.check_undo(self)).converged:
            return "unchanged"
        await step.undo(self)

        async def left() -> str:
            self.facts.forget()
            return str([difference.subject for difference in (await step.check_undo(self)).differences] or "")

        await self.wait("what was deleted to be gone", left, seconds=20)
        return "changed"


def manifests(folder: Path, **files: str) -> Manifests:
    """The manifests of labs `istio.*`; a file's name gets its ending."""
    (folder / "istio").mkdir()
    for name, text in files.items():
        (folder / "istio" / f"{name}.yaml").write_text(text)
    return Manifests(folder, {"ratings": "docker.io/istio/examples-bookinfo-ratings-v1:1.20.3"})


Key = tuple[str, str, str]


def key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _is_at(obj: Object, place: Place) -> bool:
    kind, namespace, name = key(obj)
    return (kind, namespace) == (place.kind, place.namespace) and place.name in ("", name)


def server_side_apply(live: Any, wanted: Any) -> Any:
    """As the API server merges a manifest of one of Istio's kinds, whose schema has no list with keys: what is
    wanted wins, and what others have beside it in a mapping stays."""
    if not isinstance(live, dict) or not isinstance(wanted, dict):
        return copy.deepcopy(wanted)
    return {**live, **{name: server_side_apply(live.get(name), value) for name, value in wanted.items()}}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, its section 2 word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


@dataclass(frozen=True)
class Memory(Kubectl):
    """`writes` are the calls that have changed something."""

    binary: Path = Path("kubectl")
    kubeconfig: Path = Path("kubeconfig")
    context: str = "memory"
    cache: Path = Path("cache")
    objects: dict[Key, Object] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    def put(self, *objects: Object) -> None:
        self.objects.update({key(obj): copy.deepcopy(obj) for obj in objects})

    async def look(self, places: Iterable[Place], *, seconds: float = 30.0) -> dict[Place, list[Object] | None]:
        return {
            place: [copy.deepcopy(obj) for obj in self.objects.values() if _is_at(obj, place)] for place in places
        }

    async def apply(self, objects: Sequence[Object], *, seconds: float = 60.0) -> list[Object]:
        self.writes.append("apply")
        for obj in objects:
            self.objects[key(obj)] = server_side_apply(self.objects.get(key(obj)), obj)
        return [copy.deepcopy(self.objects[key(obj)]) for obj in objects]

    async def merge_patch(self, obj: Object, patch: Mapping[str, Any]) -> list[Object]:
        self.writes.append("patch")
        self.objects[key(obj)] = merge_patch(self.objects[key(obj)], dict(patch))
        return [copy.deepcopy(self.objects[key(obj)])]

    async def delete(self, objects: Sequence[Object], *, wait: bool = True, seconds: float = 120.0) -> None:
        self.writes.append("delete")
        for obj in objects:
            self.objects.pop(key(obj), None)

    def run(self) -> Recorded:
        """One that uses this."""
        run = Recorded()
        run.toolbox = {Kubectl: self}
        return run
