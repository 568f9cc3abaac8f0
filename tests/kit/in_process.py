"""Labs brought to their end without their proofs, which take time and change nothing; and labs run in this process,
where it is not the process that is tested."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shlex
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from invoke.config import Config

from labs import RUNBOOK
from tests.kit.tools import HELM
from tests.kit.workshop import Ran, Workshop
from workshop import command
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.other_clusters import OtherClusters
from workshop.runbook.model import Lab, Step, Timeline, Together
from workshop.runbook.options import Options
from workshop.runbook.request import Request
from workshop.runbook.run import Facts, Run
from workshop.settings import DEFAULT_PROFILE, from_config, read_profile
from workshop.target import Target, Use, describe

WITHOUT_HELM = frozenset(() if HELM else ("istio.ratings",))
"""The labs that come to nothing here."""
LABS = tuple(
    lab for lab in RUNBOOK.labs if lab.name.startswith("istio.") and not lab.undoes and lab.name not in WITHOUT_HELM
)


def target_of(workshop: Workshop, use: Use = Use()) -> Target:  # noqa: B008
    return describe(from_config({**read_profile(DEFAULT_PROFILE), "state": str(workshop.state)}), use)


def run_of(workshop: Workshop, lab: Lab) -> Run:
    return Run(lab.name, target_of(workshop).toolbox, Facts(), {}, lambda event: None)


async def bring_to_its_end(lab: Lab, run: Run) -> None:
    async with run.use(OtherClusters).hold():
        for step in at_its_end(lab, run):
            run.facts.forget()
            await step.apply(run)


def at_its_end(lab: Lab, run: Run) -> Iterator[Step]:
    """Of what moves through stages only the last one."""
    for part in lab.parts:
        if isinstance(part, Together):
            yield from part.steps
        else:
            yield part.step(part.stages[-1], run) if isinstance(part, Timeline) else part


def bring_all(workshop: Workshop, *names: str) -> None:
    """These labs and all that they need, on a sandbox that is up."""

    async def bring() -> None:
        for lab in RUNBOOK.with_needs(names):
            await bring_to_its_end(lab, run_of(workshop, lab))

    asyncio.run(bring())


def here(workshop: Workshop, act: Callable[[Config], int], *, echo: bool = False) -> Ran:
    """What a task does and says once its line has been read. A process of its own takes 0.3 s."""
    said = io.StringIO()
    with (
        patch.dict(os.environ, workshop.environment),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        status = act(Config(overrides={"run": {"echo": echo}}))
    return Ran(status, said.getvalue())


def run_here(
    workshop: Workshop,
    group: str,
    *,
    to: str | None = None,
    options: Options | None = None,
    echo: bool = False,
    proofs: bool = True,
    **modes: bool,
) -> Ran:
    """A lab, or the labs of a group; `modes` are those of `run_labs` (`undo`, say)."""
    names = [lab.name for lab in RUNBOOK.labs if lab.name == group or lab.name.startswith(f"{group}.")]
    labs = tuple(name for name in names if name == group or not RUNBOOK.lab(name).undoes)
    asked = Request(labs, to=to, options={group: options} if options else {}, proofs=proofs)
    return here(workshop, lambda config: command.run_labs(config, RUNBOOK, [asked], **modes), echo=echo)


def converge_here(workshop: Workshop, group: str, **asked: Any) -> Ran:
    """As `run_here`, and it has ended well."""
    ran = run_here(workshop, group, **asked)
    assert ran.status == 0, ran.said
    return ran


def kubectl_here(workshop: Workshop, command: str) -> str:
    """What kubectl says of the primary cluster, without a shell."""
    return asyncio.run(run_of(workshop, LABS[0]).use(Kubectl).call(*shlex.split(command)))
