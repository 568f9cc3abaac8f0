"""What `istioctl analyze` finds, shown, and found no more once a step has put it right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.model import Step, WrappedStep
from workshop.runbook.results import Explanation, Hint, Verdict

if TYPE_CHECKING:
    from workshop.mesh.istioctl import Message
    from workshop.runbook.run import Run


@dataclass(frozen=True, slots=True)
class Analysis:
    """Shows what `istioctl analyze` has to say of a namespace."""

    namespace: str

    async def prove(self, run: Run) -> None:
        from workshop.runbook import events

        messages = await _messages(run, self.namespace)
        said = "\n".join(f"{m.level} [{m.code}] ({m.origin}) {m.text}" for m in messages)
        run.emit(events.Told(run.lab, said or f"istioctl analyze finds nothing in {self.namespace}"))

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        from workshop.mesh.istioctl import Istioctl

        return (Hint("type", run.use(Istioctl).typed(self.commands(run)[0]), "what is still to be put right"),)

    def commands(self, run: Run) -> tuple[str, ...]:
        return (f"istioctl analyze -n {self.namespace}",)


analysis = Analysis


def puts_right(code: str, namespace: str, step: Step, *, seconds: float = 60.0) -> Step:
    """`step`, which puts a message of the analyzer right ("IST0102"): it is looked for before and after. Pods take
    a moment to go, so it may be there for `seconds` more."""
    return PutsRight(code, namespace, step, seconds)


class PutsRight(WrappedStep):
    def __init__(self, code: str, namespace: str, step: Step, seconds: float) -> None:
        super().__init__(step)
        self._code, self._namespace, self._seconds = code, namespace, seconds

    async def apply(self, run: Run) -> None:
        run.keep(self, await run.cuttable(self._found(run)))
        await super().apply(run)

    def has_proof(self, run: Run) -> bool:
        return True

    async def verify(self, run: Run) -> Verdict | None:
        from workshop.mesh.istioctl import Istioctl

        async def still_there() -> str:
            return ", ".join(message.origin for message in await self._found(run))

        await run.wait(
            f"{self._code} to be gone",
            still_there,
            seconds=self._seconds,
            every=0.2,
            next_command=run.use(Istioctl).typed(f"istioctl analyze -n {self._namespace}"),
        )
        before: list[Message] = run.kept(self) or []
        where = ", ".join(message.origin for message in before)
        said = f"{self._code} is gone: it was found at {where}" if where else f"{self._code} is not found"
        proven = await super().verify(run)
        await Analysis(self._namespace).prove(run)
        if proven is None:
            return Verdict("pass", said)
        return replace(proven, reason="; ".join(filter(None, (said, proven.reason))))

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return (*await super().look_at(run), *await Analysis(self._namespace).look_at(run))

    def explain(self, run: Run) -> Explanation:
        inner, look = super().explain(run), f"istioctl analyze -n {self._namespace}"
        exercise = inner.exercise and replace(inner.exercise, commands=(look, *inner.exercise.commands, look))
        return replace(inner, commands=(look, *inner.commands, look), exercise=exercise)

    async def _found(self, run: Run) -> list[Message]:
        return [message for message in await _messages(run, self._namespace) if message.code == self._code]


async def _messages(run: Run, namespace: str) -> list[Message]:
    from workshop.mesh.istioctl import Istioctl

    return await Istioctl.of(run).analyze("-n", namespace)
