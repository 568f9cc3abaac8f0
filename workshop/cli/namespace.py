"""All tasks of a workshop, as the `ns` of a tasks.py: `namespace(RUNBOOK)`, or `workshop.cli.collection`.

What tasks do is imported when one runs (workshop/command.py): this is loaded to list and to complete as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from workshop.cli import foreign, lab_tasks, program
from workshop.cli.lab_tasks import HarmlessTask, WorkshopTask
from workshop.runbook.model import Runbook


def namespace(runbook: Runbook, *tasks: Task[Any], labs: Iterable[str] = ()) -> Collection:
    """The runbook's labs, those of other places (see `foreign`), the workshop's own tasks and these. From here on
    Invoke is the workshop's."""
    program.take_over()
    runbook = foreign.extended(runbook, labs)

    @task(klass=HarmlessTask)
    def doctor(context: Context) -> int:
        """Look for what would make a run fail."""
        from workshop import command

        return command.doctor(context.config, runbook)

    @task(
        klass=WorkshopTask,
        auto_shortflags=False,
        help=_RESET
        | _YES
        | {"plan": "Show what would change; change nothing.", "explain": "Show the commands to type instead."},
    )
    def reset(
        context: Context,
        to: str = "",
        before: str = "",
        foreign: bool = False,
        proof: bool = True,
        plan: bool = False,
        explain: bool = False,
        yes: bool = False,
    ) -> int:
        """Bring the cluster back to a known state: just after a lab, just before it, or clean."""
        from workshop import command

        return command.reset(
            context.config,
            runbook,
            to=to,
            before=before,
            foreign=foreign,
            proof=proof,
            plan=plan,
            explain=explain,
            yes=yes,
        )

    @task(
        klass=HarmlessTask,
        auto_shortflags=False,
        help={"format": "table, or json for a program."},
    )
    def status(context: Context, format: str = "table") -> int:
        """Show where every lab is: converged, drifted, by hand, not there; and the next one."""
        from workshop import command

        return command.status(context.config, runbook, format)

    @task(
        klass=HarmlessTask,
        auto_shortflags=False,
        help={
            "roster": _WHOM["roster"],
            "only": _WHOM["only"],
            "host": "The address to listen on. Any but this machine's own (127.0.0.1) lets others see the page.",
            "port": "The port to listen on; 0 for any that is free.",
        },
    )
    def watch(
        context: Context, roster: str = "", only: str = "", host: str = "127.0.0.1", port: str = "8440"
    ) -> int:
        """Show the class on a page, live: who is where, who is stuck, what is measured."""
        from workshop import class_tasks, watch_task

        whom = class_tasks.Whom(roster, only)
        return watch_task.watch(context.config, runbook, whom, host=host, port=port)

    @task(
        klass=WorkshopTask,
        auto_shortflags=False,
        help={
            "labs": "Labs or groups, with commas between them (all that can be typed on the target, unless given).",
            "format": "html or markdown.",
            "to": "The file to write (handout.html and the like in this folder, unless given); - prints it.",
            "solution": "With the answers of the exercises.",
            "force": "Write over a file that is not the workshop's own.",
        },
    )
    def handout(
        context: Context,
        labs: str = "",
        format: str = "html",
        to: str = "",
        solution: bool = False,
        force: bool = False,
    ) -> int:
        """Write the labs as a page for attendees: text, what to type, exercises."""
        from workshop import handout_task

        return handout_task.handout(
            context.config, runbook, labs=labs, form=format, to=to, solution=solution, force=force
        )

    @task(klass=HarmlessTask)
    def resume(context: Context) -> int:
        """Go on with the last run that was cut off."""
        from workshop import record_tasks

        return record_tasks.resume(context.config, runbook)

    @task(klass=WorkshopTask, auto_shortflags=False, positional=["labs"], help=_LABS | _WHOM | _RUN)
    def run(
        context: Context,
        labs: str,
        to: str = "",
        verify: bool = False,
        plan: bool = False,
        roster: str = "",
        only: str = "",
        failed: bool = False,
        shard: str = "",
        at_once: str = "",
    ) -> int:
        """Run labs for every member of the class."""
        from workshop import class_tasks

        whom = class_tasks.Whom(roster, only, failed, shard, at_once)
        plan = plan or context.config.run.dry
        return class_tasks.run(context.config, runbook, whom, labs=labs, to=to, verify=verify, plan=plan)

    @task(klass=HarmlessTask, auto_shortflags=False, positional=["labs"], help=_LABS | _WHOM)
    def check(
        context: Context,
        labs: str,
        roster: str = "",
        only: str = "",
        failed: bool = False,
        shard: str = "",
        at_once: str = "",
    ) -> int:
        """Check and measure labs of every member, and change nothing."""
        from workshop import class_tasks

        whom = class_tasks.Whom(roster, only, failed, shard, at_once)
        return class_tasks.run(context.config, runbook, whom, labs=labs, check=True)

    @task(klass=HarmlessTask, auto_shortflags=False, name="status", help=_WHOM | _FORMAT)
    def class_status(
        context: Context,
        format: str = "table",
        roster: str = "",
        only: str = "",
        failed: bool = False,
        shard: str = "",
        at_once: str = "",
    ) -> int:
        """Show where every member is."""
        from workshop import class_tasks

        whom = class_tasks.Whom(roster, only, failed, shard, at_once)
        return class_tasks.status(context.config, runbook, whom, format)

    @task(klass=WorkshopTask, auto_shortflags=False, name="up", help=_WHOM | _FOR | _LOAD)
    def class_up(
        context: Context,
        for_: str = "",
        load: str = "",
        roster: str = "",
        only: str = "",
        failed: bool = False,
        shard: str = "",
        at_once: str = "",
    ) -> int:
        """Have a cluster for every member: in sandboxes, or made on Azure."""
        from workshop import class_tasks

        whom = class_tasks.Whom(roster, only, failed, shard, at_once)
        return class_tasks.up(context.config, runbook, whom, lasts=for_, saved=load)

    @task(klass=WorkshopTask, auto_shortflags=False, name="down", help=_WHOM | _YES)
    def class_down(
        context: Context,
        roster: str = "",
        only: str = "",
        failed: bool = False,
        shard: str = "",
        at_once: str = "",
        yes: bool = False,
    ) -> int:
        """Delete the clusters that class.up has made."""
        from workshop import class_tasks

        whom = class_tasks.Whom(roster, only, failed, shard, at_once)
        return class_tasks.down(context.config, runbook, whom, yes=yes)

    @task(klass=WorkshopTask, auto_shortflags=False, name="reset", help=_WHOM | _RESET | _YES)
    def class_reset(
        context: Context,
        to: str = "",
        before: str = "",
        foreign: bool = False,
        proof: bool = True,
        roster: str = "",
        only: str = "",
        failed: bool = False,
        shard: str = "",
        at_once: str = "",
        yes: bool = False,
    ) -> int:
        """Bring every member's cluster back to a known state."""
        from workshop import class_tasks

        whom = class_tasks.Whom(roster, only, failed, shard, at_once)
        return class_tasks.reset(
            context.config, runbook, whom, to=to, before=before, foreign=foreign, proof=proof, yes=yes
        )

    @task(
        klass=HarmlessTask,
        auto_shortflags=False,
        name="doctor",
        help={"labs": "Labs or groups, with commas between them (all, unless given)."} | _WHOM,
    )
    def class_doctor(
        context: Context,
        labs: str = "",
        roster: str = "",
        only: str = "",
        failed: bool = False,
        shard: str = "",
        at_once: str = "",
    ) -> int:
        """Look for what would make labs fail for a member, and for quotas too small for all."""
        from workshop import class_tasks

        whom = class_tasks.Whom(roster, only, failed, shard, at_once)
        return class_tasks.doctor(context.config, runbook, whom, labs=labs)

    of_class = Collection(
        "class",
        *(class_adopt, check, class_doctor, class_down, class_kubeconfigs, class_reset, run, class_status),
        class_up,
    )
    own = (adopt, bundle, doctor, handout, history, report, reset, resume, shell, status, watch)
    return Collection(*own, *tasks, lab_tasks.collection(runbook), _sandbox(), of_class)


def _sandbox() -> Collection:
    return Collection("sandbox", down, load, save, sandbox_shell, sandbox_status, up)


@task(klass=WorkshopTask, auto_shortflags=False, help={"yes": "Do not ask for the cluster's name."})
def adopt(context: Context, yes: bool = False) -> int:
    """Mark a cluster as the workshop's, so that labs may change it."""
    from workshop import command

    return command.adopt(context.config, yes=yes)


_LABS = {"labs": "Labs or groups, with commas between them."}
_RUN = {
    "to": "Move straight to this stage.",
    "verify": "Measure again what has converged.",
    "plan": "Say what would change; change nothing.",
}
_RESET = {
    "to": "LAB (just after it), LAB:STAGE, or clean.",
    "before": "LAB: just before it.",
    "foreign": "Remove what others have made in the workshop's namespaces as well.",
    "proof": "Without it (--no-proof) the last lab is compared, and not measured.",
}
_FOR = {"for": "Have a sandbox last that long, used or not: 30m, 12h, 2d; also one that runs."}
_LOAD = {"load": "Begin with this state, as for sandbox.load; a sandbox that runs is left as it is."}
_FORMAT = {"format": "table, or json for a program."}
_YES = {"yes": "Do not ask before something is deleted."}
_WHOM = {
    "roster": "The file with the members (classroom.roster, unless given).",
    "only": "These members alone, with commas between them.",
    "failed": "Those whose last task of the class has not ended well.",
    "shard": "One of several equal shares of the class, for one of several machines: 2/4.",
    "at-once": "How many members at the same time (classroom.at_once, unless given).",
}


@task(
    klass=WorkshopTask,
    auto_shortflags=False,
    name="adopt",
    help=_WHOM | {"yes": "Do not ask for the class's name."},
)
def class_adopt(
    context: Context,
    roster: str = "",
    only: str = "",
    failed: bool = False,
    shard: str = "",
    at_once: str = "",
    yes: bool = False,
) -> int:
    """Mark every member's cluster as the workshop's."""
    from workshop import class_tasks

    whom = class_tasks.Whom(roster, only, failed, shard, at_once)
    return class_tasks.adopt(context.config, whom, yes=yes)


@task(
    klass=WorkshopTask,
    auto_shortflags=False,
    name="kubeconfigs",
    help=_WHOM
    | {
        "to": "The folder to write them into (kubeconfigs in the state folder, unless given).",
        "hours": "How long they are good for, where the clusters can end them.",
    },
)
def class_kubeconfigs(
    context: Context,
    to: str = "",
    hours: str = "12",
    roster: str = "",
    only: str = "",
    failed: bool = False,
    shard: str = "",
    at_once: str = "",
) -> int:
    """Write a kubeconfig for each member, to be handed out: one cluster, for some hours."""
    from workshop import class_tasks

    whom = class_tasks.Whom(roster, only, failed, shard, at_once)
    return class_tasks.kubeconfigs(context.config, whom, to=to, hours=hours)


@task(
    klass=WorkshopTask,
    auto_shortflags=False,
    help={
        "platforms": "For which machines (this one): linux-x86_64, linux-aarch64, macos-arm64; commas between.",
        "pythons": "For which versions of Python (3.11,3.12,3.13 and this one, unless given).",
        "saved": "A state that sandbox.save has kept, by its name, or its file: start.sh loads it.",
        "to": "The file to write (mesh-workshop-bundle.tar.gz in this folder, unless given).",
        "force": "Write over a file that is not the workshop's own.",
    },
)
def bundle(
    context: Context, platforms: str = "", pythons: str = "", saved: str = "", to: str = "", force: bool = False
) -> int:
    """Pack the workshop and all it needs into one file, for a room without internet."""
    from workshop import bundle_task

    return bundle_task.bundle(context.config, platforms=platforms, pythons=pythons, saved=saved, to=to, force=force)


@task(klass=WorkshopTask)
def shell(context: Context) -> int:
    """A shell for kubectl on the labs' cluster."""
    from workshop.shell import shell

    return shell(context.config)


@task(klass=HarmlessTask, auto_shortflags=False, help={"format": "table, or json for a program."})
def history(context: Context, format: str = "table") -> int:
    """The runs there were, and how they ended."""
    from workshop import record_tasks

    return record_tasks.history(context.config, format)


@task(
    klass=WorkshopTask,
    auto_shortflags=False,
    help={
        "run": "The number of a run, as history shows it (the last one, unless given).",
        "day": "All runs of a day: 2026-11-28.",
        "class": "The last run of each member of the class, or those of a day.",
        "also": "Folders with more members of the class, from other machines, with commas between them.",
        "format": "html, markdown, json or junit.",
        "to": "The file to write (report-run-7.html and the like in this folder, unless given); - prints it.",
        "force": "Write over a file that is not the workshop's own.",
    },
)
def report(
    context: Context,
    run: str = "",
    day: str = "",
    class_: bool = False,
    also: str = "",
    format: str = "html",
    to: str = "",
    force: bool = False,
) -> int:
    """Write what a run did, measured and ran into as one page."""
    from workshop import record_tasks

    return record_tasks.report(
        context.config, run=run, day=day, form=format, to=to, force=force, of_class=class_, also=also
    )


@task(klass=WorkshopTask, auto_shortflags=False, help={"yes": "Do not ask while a run is on."})
def down(context: Context, yes: bool = False) -> int:
    """Stop the sandbox; its cluster is gone."""
    from workshop import sandbox_tasks

    return sandbox_tasks.down(context.config, yes=yes)


@task(
    klass=WorkshopTask,
    auto_shortflags=False,
    positional=("name",),
    help={
        "name": "What to call it (kept in <state>/saved).",
        "force": "In the place of one of that name.",
    },
)
def save(context: Context, name: str, force: bool = False) -> int:
    """Keep the sandbox's state in a file, to be loaded here or elsewhere."""
    from workshop import sandbox_tasks

    return sandbox_tasks.save(context.config, name, force=force)


@task(
    klass=WorkshopTask,
    auto_shortflags=False,
    positional=("name",),
    help={
        "name": "Of a state that sandbox.save has kept (sandbox.status lists them), or the path of its file.",
        "yes": "Do not ask before a running sandbox is ended.",
    },
)
def load(context: Context, name: str, yes: bool = False) -> int:
    """Start a sandbox with a saved state, instead of the one that runs."""
    from workshop import sandbox_tasks

    return sandbox_tasks.load(context.config, name, yes=yes)


@task(klass=WorkshopTask, name="shell")
def sandbox_shell(context: Context) -> int:
    """`invoke shell` on the sandbox, else refused."""
    from workshop import sandbox_tasks

    return sandbox_tasks.shell(context.config)


@task(klass=HarmlessTask, name="status")
def sandbox_status(context: Context) -> int:
    """Tell whether the sandbox runs, since when, and where."""
    from workshop import sandbox_tasks

    return sandbox_tasks.status(context.config)


@task(klass=HarmlessTask, auto_shortflags=False, help=_FOR)
def up(context: Context, for_: str = "") -> int:
    """Start the sandbox (labs do it by themselves)."""
    from workshop import sandbox_tasks

    return sandbox_tasks.up(context.config, lasts=for_)
