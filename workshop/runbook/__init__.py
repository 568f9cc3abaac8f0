"""The engine: labs made of steps, run to convergence. It knows no cloud, no mesh and no lab by name."""

from workshop.runbook.model import Lab, Position, Runbook, Step, Timeline, Together
from workshop.runbook.options import Option
from workshop.runbook.results import (
    ABSENT,
    Bar,
    Check,
    Difference,
    Explanation,
    Latencies,
    Measurement,
    Verdict,
)

__all__ = [
    "ABSENT",
    "Bar",
    "Check",
    "Difference",
    "Explanation",
    "Lab",
    "Latencies",
    "Measurement",
    "Option",
    "Position",
    "Runbook",
    "Step",
    "Timeline",
    "Together",
    "Verdict",
]
