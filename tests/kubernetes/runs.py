"""A run for one step, without an engine: its events are kept. And objects for it, as text with NAMESPACE in it."""

from __future__ import annotations

from pathlib import Path

from workshop.kubernetes.manifests import Manifests
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


class Recorded(Run):
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

    def of(self, kind: type[events.Event]) -> list[events.Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def told(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, events.Told)]

    @property
    def commands(self) -> list[str]:
        """What kubectl was asked, without the options that are always the same."""
        found = [event.argv for event in self.events if isinstance(event, events.Command)]
        always = ("--kubeconfig", "--context", "--cache-dir")
        return [" ".join(arg for arg in argv[1:] if not arg.startswith(always)) for argv in found]

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
