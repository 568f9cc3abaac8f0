"""What became of every step of a run: outcomes, the exit status they add up to, and the command that goes on."""

from __future__ import annotations

from collections import Counter

from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Outcome
from workshop.runbook.request import Request

INTERRUPTED = 130


class Tally:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._outcomes: dict[tuple[str, int], Outcome] = {}
        self._errors: list[Exception] = []
        self.moved = False
        """A stage was reached, so that beginning again would lose it."""
        self.met = False
        """What the run works on has answered once: that it cannot be reached any more is no wrong configuration."""
        self.touched = False
        """Something was begun to be changed: whatever fails then is no wrong usage any more."""
        self.refusal: Exception | None = None
        """Why the run as a whole could not go on."""

    def add(self, lab: str, step: int, outcome: Outcome, error: Exception | None) -> None:
        self._outcomes[lab, step] = outcome
        if error:
            self._errors.append(error)

    def has(self, lab: str, step: int) -> bool:
        return (lab, step) in self._outcomes

    def converged(self, lab: str, step: int | None = None) -> bool:
        """The whole lab as far as it has come, or one of its steps."""
        return all(
            outcome in ("unchanged", "changed")
            for (name, number), outcome in self._outcomes.items()
            if name == lab and step in (None, number)
        )

    @property
    def counts(self) -> dict[Outcome, int]:
        return dict(Counter(self._outcomes.values()))

    def exit_status(self, stopped: bool) -> int:
        if stopped:
            return INTERRUPTED
        if self.refusal:
            return UsageError.exit_status if self._is_usage(self.refusal) else 1
        if "failed" in self._outcomes.values():
            usage = self._errors and all(self._is_usage(error) for error in self._errors)
            return UsageError.exit_status if usage and not self.touched else WorkshopError.exit_status
        return 3 if "inconclusive" in self._outcomes.values() else 0

    def resume(self, exit_status: int) -> str:
        """The command as it was typed, without what would begin again."""
        if exit_status in (0, UsageError.exit_status) or not self._request.command:
            return ""
        words = self._request.command.split(" ")
        if self.moved:
            words = [word for word in words if word != "--restart"]
        return " ".join(words)

    def _is_usage(self, error: Exception) -> bool:
        """Also what is no UsageError, and says so: something that was not there from the beginning."""
        wrong = isinstance(error, WorkshopError) and error.exit_status == UsageError.exit_status
        return wrong and (isinstance(error, UsageError) or not self.met)
