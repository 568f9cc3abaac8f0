"""The engine: labs made of steps, run to convergence. It knows no cloud, no mesh and no lab by name.

Its modules stand on each other in this order, which import-linter enforces; read them from below:

    runner (a run), checking (--check)      labs in the order of their needs
    step_runner, plan, hints                one step with its proof; what a run would change; what to do next
    schedule                                a lab as numbered steps, timelines unfolded: the same for all of these
    request, journal, protection            what was asked for; what is written down; lock, mark and questions
    model                                   Lab, Step, Timeline, Runbook: what labs are made of
    run                                     what a step is given: tools, facts, options, waiting, telling
    events, stop, state_folder              what happens; ending early; the state folder's lock
    results, options, errors, timings       values that pass between all of them
    lazy_dataclass                          what those are made with that --list imports

This package's own names are for labs.
"""

from workshop.runbook.model import CustomStage, Lab, Position, Runbook, Step, Timeline, Together, WrappedStep
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
    "CustomStage",
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
    "WrappedStep",
]
