"""The tasks class.*, for members of a class.

All of them have the flags that say which members are meant; a task's function gets these as one value, `whom`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from workshop.cli.lab_tasks import HarmlessTask, WorkshopTask
from workshop.runbook.model import Runbook

if TYPE_CHECKING:
    from workshop.classroom.whom import Whom

LASTS = {"for": "Have a sandbox last that long, used or not: 30m, 12h, 2d; also one that runs."}
RESET = {
    "to": "LAB (just after it), LAB:STAGE, or clean.",
    "before": "LAB: just before it.",
    "foreign": "Remove what others have made in the workshop's namespaces as well.",
    "proof": "Without it (--no-proof) the last lab is compared, and not measured.",
    "yes": "Do not ask before something is deleted.",
}
FORMAT = {"format": "table, or json for a program."}
"""Help for flags that there are without a class as well."""

_LABS = {"labs": "Labs or groups, with commas between them."}
WHOM: Mapping[str, tuple[str | bool, str]] = {
    "roster": ("", "The file with the members (classroom.roster, unless given)."),
    "only": ("", "These members alone, with commas between them."),
    "failed": (False, "Those whose last task of the class has not ended well."),
    "shard": ("", "One of several equal shares of the class, for one of several machines: 2/4."),
    "at_once": ("", "How many members at the same time (classroom.at_once, unless given)."),
}
"""The flags that say which members, with defaults and help."""


class ClassTask(WorkshopTask):
    def __init__(self, *args: Any, **options: Any) -> None:
        whom = {name.replace("_", "-"): said for name, (_, said) in WHOM.items()}
        options["help"] = {**(options.get("help") or {}), **whom}
        super().__init__(*args, **{**options, "auto_shortflags": False})

    def argspec(self, body: Any) -> inspect.Signature:
        signature = super().argspec(body)
        own = [parameter for name, parameter in signature.parameters.items() if name != "whom"]
        kind = inspect.Parameter.KEYWORD_ONLY
        flags = [inspect.Parameter(name, kind, default=default) for name, (default, _) in WHOM.items()]
        return signature.replace(parameters=[*own, *flags])

    def __call__(self, *args: Any, **given: Any) -> None:
        from workshop.classroom.whom import Whom

        whom = Whom(**{name: given.pop(name) for name in WHOM})
        super().__call__(*args, whom=whom, **given)


class HarmlessClassTask(ClassTask, HarmlessTask):
    """It changes nothing."""


def collection(runbook: Runbook) -> Collection:
    @task(
        klass=ClassTask,
        positional=["labs"],
        help={
            **_LABS,
            "to": "Move straight to this stage.",
            "verify": "Measure again what has converged.",
            "plan": "Say what would change; change nothing.",
        },
    )
    def run(context: Context, labs: str, whom: Whom, to: str = "", verify: bool = False, plan: bool = False) -> int:
        """Run labs for every member of the class."""
        from workshop import class_tasks

        return class_tasks.run(context.config, runbook, whom, labs=labs, to=to, verify=verify, plan=plan)

    @task(klass=HarmlessClassTask, positional=["labs"], help=_LABS)
    def check(context: Context, labs: str, whom: Whom) -> int:
        """Check and measure labs of every member, and change nothing."""
        from workshop import class_tasks

        return class_tasks.run(context.config, runbook, whom, labs=labs, check=True)

    @task(klass=HarmlessClassTask, help=FORMAT)
    def status(context: Context, whom: Whom, format: str = "table") -> int:
        """Show where every member is."""
        from workshop import class_tasks

        return class_tasks.status(context.config, runbook, whom, format)

    @task(
        klass=ClassTask,
        help={
            **LASTS,
            "load": "Begin with this state, as for sandbox.load; a sandbox that runs is left as it is.",
        },
    )
    def up(context: Context, whom: Whom, for_: str = "", load: str = "") -> int:
        """Have a cluster for every member: in sandboxes, or made on Azure."""
        from workshop import class_tasks

        return class_tasks.up(context.config, runbook, whom, lasts=for_, saved=load)

    @task(klass=ClassTask, help={"yes": "Do not ask for the class's name."})
    def down(context: Context, whom: Whom, yes: bool = False) -> int:
        """Delete the clusters that class.up has made."""
        from workshop import class_tasks

        return class_tasks.down(context.config, runbook, whom, yes=yes)

    @task(klass=ClassTask, help=RESET)
    def reset(
        context: Context,
        whom: Whom,
        to: str = "",
        before: str = "",
        foreign: bool = False,
        proof: bool = True,
        yes: bool = False,
    ) -> int:
        """Bring every member's cluster back to a known state."""
        from workshop import class_tasks

        return class_tasks.reset(
            context.config, runbook, whom, to=to, before=before, foreign=foreign, proof=proof, yes=yes
        )

    @task(klass=HarmlessClassTask, help={"labs": "Labs or groups, with commas between them (all, unless given)."})
    def doctor(context: Context, whom: Whom, labs: str = "") -> int:
        """Look for what would make labs fail for a member, and for quotas too small for all."""
        from workshop import class_tasks

        return class_tasks.doctor(context.config, runbook, whom, labs=labs)

    @task(klass=ClassTask, help={"yes": "Do not ask for the class's name."})
    def adopt(context: Context, whom: Whom, yes: bool = False) -> int:
        """Mark every member's cluster as the workshop's."""
        from workshop import class_tasks

        return class_tasks.adopt(context.config, runbook, whom, yes=yes)

    @task(
        klass=ClassTask,
        help={
            "to": "The folder to write them into (kubeconfigs in the state folder, unless given).",
            "hours": "How long they are good for, where the clusters can end them (12, unless given).",
        },
    )
    def kubeconfigs(context: Context, whom: Whom, to: str = "", hours: str = "12") -> int:
        """Write a kubeconfig for each member, to be handed out: their clusters alone, for some hours."""
        from workshop import class_tasks

        return class_tasks.kubeconfigs(context.config, whom, to=to, hours=hours)

    return Collection("class", adopt, check, doctor, down, kubeconfigs, reset, run, status, up)
