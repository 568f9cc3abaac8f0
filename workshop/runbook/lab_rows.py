"""What is to be told of a lab, part by part, where only is looked: each step, and of a timeline the one whose stage
its object is at.

A check measures these, and `invoke status` says what they come to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workshop.runbook.model import Lab, Timeline
from workshop.runbook.results import Check
from workshop.runbook.schedule import Job, Schedule, ScheduledStep, StepState, TimelineRun


@dataclass(frozen=True, slots=True)
class Row:
    """A step to tell of, for a timeline the one whose stage its object is at. `note` is told beside the outcome.
    `at` is that stage's number, from 1, of `stages`; 0 where the object is at none of them."""

    step: ScheduledStep
    title: str
    state: StepState
    note: str = ""
    at: int = 0
    stages: int = 0
    superseded_by: str = ""
    off_path: str = ""


def groups(job: Job, schedule: Schedule) -> Iterator[tuple[ScheduledStep, ...]]:
    """Steps that do not depend on each other, in order; all stages of a timeline are one."""
    seen: list[TimelineRun] = []
    for group in schedule:
        steps = job.taking_part((group,))
        timeline_run = steps[0].timeline_run if steps else None
        if steps and timeline_run not in seen:
            yield steps
        if timeline_run:
            seen.append(timeline_run)


async def row_of(job: Job, lab: Lab, schedule: Schedule, step: ScheduledStep) -> Row:
    """Raises what the step's check raises."""
    run = job.run_of(step, lab)
    if step.timeline_run:
        stages = {it.stage: it for group in schedule for it in group if it.timeline_run is step.timeline_run}
        return await _on_timeline(job, lab, step.timeline_run, stages, step)
    state = await step.state(run)
    timeline = next((it for it in lab.parts if isinstance(it, Timeline) and it.title == step.part), None)
    if timeline and job.request.to in timeline.stages and not state.check.converged:
        # Whose the objects are does not matter to where they are.
        there = (await timeline.position(run)).stage == job.request.to
        state = StepState(Check(added=state.check.added)) if there else state
    return Row(step, step.title, state, state.check.note)


async def _on_timeline(
    job: Job, lab: Lab, timeline_run: TimelineRun, stages: Mapping[int, ScheduledStep], first: ScheduledStep
) -> Row:
    """The step for where the timeline's object is. With --step, whether it has come to that one."""
    timeline, position = timeline_run.timeline, await timeline_run.position(job.run_of(first, lab))
    count = len(timeline.stages)
    if timeline_run.superseded(position):
        state = StepState(Check(note=f"superseded by {position.moved_by}"), verifiable=False)
        return Row(first, timeline.title, state, state.check.note, superseded_by=position.moved_by)
    if position.off_path:
        check = await first.step.check(job.run_of(first, lab))
        nearest = position.differences or check.differences
        state = StepState(Check(nearest, added=check.added))
        note = f"off the path: {position.off_path}"
        return Row(first, timeline.title, state, note, stages=count, off_path=position.off_path)
    if position.stage not in timeline.stages:
        step, at, note = first, 0, "before its first stage"
    else:
        at = timeline.stages.index(position.stage) + 1
        step, note = stages[at - 1], f"at stage {position.stage}, {at} of {count}"
        if job.request.step is not None:
            step = first
    state = await step.state(job.run_of(step, lab))
    return Row(step, step.title, state, state.check.note if state.check.left_out else note, at, count)
