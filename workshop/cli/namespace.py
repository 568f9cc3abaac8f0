"""All tasks of a workshop, as the `ns` of a tasks.py: `namespace(RUNBOOK)`, or `workshop.cli.collection`.

What tasks do is imported when one runs (workshop/command.py): this is loaded to list and to complete as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from workshop.cli import class_collection, foreign, lab_tasks, program
from workshop.cli.class_collection import FORMAT, LASTS, RESET, WHOM
from workshop.cli.lab_tasks import HarmlessTask, WorkshopTask
from workshop.runbook.model import Runbook

LISTENING = {
    "host": "The address to listen on. Any but this machine's own (127.0.0.1) lets others see the page.",
    "port": "The port to listen on; 0 for any that is free.",
}


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
        help=RESET
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
        help=FORMAT,
    )
    def status(context: Context, format: str = "table") -> int:
        """Show where every lab is: converged, drifted, by hand, not there; and the next one."""
        from workshop import command

        return command.status(context.config, runbook, format)

    @task(
        klass=HarmlessTask,
        auto_shortflags=False,
        help={
            "roster": WHOM["roster"][1],
            "only": WHOM["only"][1],
        }
        | LISTENING,
    )
    def watch(
        context: Context, roster: str = "", only: str = "", host: str = "127.0.0.1", port: str = "8440"
    ) -> int:
        """Show the class on a page, live: who is where, who is stuck, what is measured."""
        from workshop import watch_task
        from workshop.classroom.whom import Whom

        whom = Whom(roster, only)
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

    own = (adopt, bundle, doctor, handout, history, observe, report, reset, resume, shell, status, watch)
    return Collection(*own, *tasks, class_collection.collection(runbook), lab_tasks.collection(runbook), _sandbox())


def _sandbox() -> Collection:
    return Collection("sandbox", down, load, save, sandbox_shell, sandbox_status, up)


@task(klass=WorkshopTask, auto_shortflags=False, help={"yes": "Do not ask for the cluster's name."})
def adopt(context: Context, yes: bool = False) -> int:
    """Mark a cluster as the workshop's, so that labs may change it."""
    from workshop import command

    return command.adopt(context.config, yes=yes)


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


@task(
    klass=HarmlessTask,
    auto_shortflags=False,
    help={
        "once": "Print the mesh as a table, once, and end.",
    }
    | LISTENING,
)
def observe(context: Context, once: bool = False, host: str = "127.0.0.1", port: str = "8441") -> int:
    """Show the mesh as a graph, live: who calls whom, how often, errors, latencies, splits, faults."""
    from workshop import observe_task

    return observe_task.observe(context.config, once=once, host=host, port=port)


@task(klass=WorkshopTask)
def shell(context: Context) -> int:
    """A shell for kubectl on the labs' cluster."""
    from workshop.shell import shell

    return shell(context.config)


@task(klass=HarmlessTask, auto_shortflags=False, help=FORMAT)
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


@task(klass=HarmlessTask, auto_shortflags=False, help=LASTS)
def up(context: Context, for_: str = "") -> int:
    """Start the sandbox (labs do it by themselves)."""
    from workshop import sandbox_tasks

    return sandbox_tasks.up(context.config, lasts=for_)
