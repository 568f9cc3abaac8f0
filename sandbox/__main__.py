"""`python -m sandbox`: the sandbox without the labs.

    up       start the one of a folder, unless it runs
    down     stop it
    status   whether it runs, and where; status 1 when it does not
    save     keep its state in a file; `load` a sandbox from one, instead of the one that runs
    shell    $SHELL with its kubeconfig, and its kubectl and istioctl on the PATH
    serve    run it in the foreground (what `up` starts)

Exit status: 0 done; 1 not running, or it went wrong, in words on stderr; 2 wrong usage; 130 interrupted; that of
`shell` is the shell's.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.core.durations import lasting
from sandbox.server import launcher, saved_state
from sandbox.server.launcher import IDLE_SECONDS, NoAnswer, Running, SandboxError
from sandbox.server.saved_state import UnusableError

_FOLDER = Path(".sandbox")
_PROGRAM = "python -m sandbox"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    act: Callable[[argparse.Namespace], int] = options.act
    if act is serve:
        return serve(options)  # whatever ends it is for the log, with all there is to know
    try:
        return act(options)
    except SandboxError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        if isinstance(error, NoAnswer) or launcher.is_there(options.state):
            print(f"`{_command('down', options.state)}` ends it, whatever has become of it", file=sys.stderr)
    except UnusableError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{_PROGRAM}: {error.filename or options.state}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def up(options: argparse.Namespace) -> int:
    launcher.ensure(options.state, idle_seconds=options.idle)
    if options.lasting:
        launcher.keep(options.state, options.lasting)
    return status(options)


def down(options: argparse.Namespace) -> int:
    print("the sandbox is stopped" if launcher.stop(options.state) else f"no sandbox runs in {options.state}")
    return 0


def status(options: argparse.Namespace) -> int:
    running = launcher.whole(options.state)
    if running is None:
        print(f"no sandbox runs in {options.state} (`{_command('up', options.state)}` starts one)")
        return 1
    minutes = (time.time() - running.started) / 60
    print(f"the sandbox runs at {running.url} ({running.process}, for {minutes:.0f} min; {running.lasts})")
    print(f"export KUBECONFIG={shlex.quote(str(running.kubeconfig))} PATH={shlex.quote(str(running.bin))}:$PATH")
    return 0


def shell(options: argparse.Namespace) -> int:
    """Starts the sandbox as well, and becomes the shell."""
    launcher.ensure(options.state, idle_seconds=options.idle)
    running = launcher.whole(options.state)
    if running is None:
        raise SandboxError("the sandbox has just ended")
    program = os.environ.get("SHELL") or "/bin/sh"
    sys.stdout.flush()
    os.execvpe(program, [program], _environment(running))  # noqa: S606 - the user's own


def save(options: argparse.Namespace) -> int:
    file = saved_state.place_of(_kept(options), options.name)
    head = launcher.save(options.state, file, force=options.force)
    print(f"saved as {file} ({saved_state.worded(head)}, {file.stat().st_size / 1024:.0f} KiB)")
    print(saved_state.warning(head))
    return 0


def load(options: argparse.Namespace) -> int:
    """Asks before it ends a sandbox that runs."""
    if options.name is None:
        return _list_kept(options)
    file = saved_state.find(_kept(options), options.name)
    saved_state.read(file)
    if launcher.is_there(options.state) and not (options.yes or _may_end()):
        print("the sandbox goes on")
        return 0
    running = launcher.load(options.state, file, idle_seconds=options.idle)
    for each in running.missing:
        print(f"not as it was saved, so far: {each}")
    return status(options)


def _list_kept(options: argparse.Namespace) -> int:
    there = saved_state.kept(_kept(options))
    for name, head in there:
        print(f"{name}  {saved_state.worded(head)}")
    if not there:
        print(f"nothing is saved in {_kept(options)}")
    return 0


def _kept(options: argparse.Namespace) -> Path:
    folder: Path = options.state
    return folder / "saved"


def _may_end() -> bool:
    if not sys.stdin.isatty():
        raise SandboxError("a sandbox runs, which would end with all that is in it: say --yes")
    try:
        answer = input("A sandbox runs, which would end with all that is in it. Load all the same? (y/N) ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def serve(options: argparse.Namespace) -> int:
    from sandbox.server import garbage

    garbage.put_off()
    # When it is imported, aiohttp reads the authorities that this machine trusts, for 40 ms; nobody here asks them.
    os.environ["SSL_CERT_FILE"] = os.devnull
    from sandbox.server.serve import main as run

    folders = options.state or [_FOLDER]
    if options.lock and len(options.lock) != len(folders):
        raise SystemExit(f"{_PROGRAM}: serve: as many --lock as --state, or none")
    return run(folders, options.idle, options.lock, options.load)


def _environment(running: Running) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(running.bin), os.environ.get("PATH", "")]))
    return {**os.environ, "KUBECONFIG": str(running.kubeconfig), "PATH": path}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Clusters, Azure and a mesh on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        act: Callable[[argparse.Namespace], int], words: str, *, starts: bool = False, several: bool = False
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(act.__name__, help=words, description=words)
        command.set_defaults(act=act)
        if several:
            folders = f"a folder ({_FOLDER}); several times for the sandboxes of a class in one process"
            command.add_argument("--state", type=Path, action="append", metavar="DIR", help=folders)
        else:
            folder = "the sandbox's folder (%(default)s)"
            command.add_argument("--state", type=Path, default=_FOLDER, metavar="DIR", help=folder)
        if starts:
            idle = "seconds without a request or traffic that end it (%(default)s)"
            command.add_argument("--idle", type=seconds, default=IDLE_SECONDS, metavar="SECONDS", help=idle)
        return command

    upping = add(up, "start the folder's sandbox, unless it runs", starts=True)
    least = "have it last that long, used or not: 30m, 12h, 2d; also one that runs"
    upping.add_argument("--for", type=_lasting, default=0, dest="lasting", metavar="TIME", help=least)
    add(down, "stop the folder's sandbox")
    add(status, "whether the folder's sandbox runs, and where")
    saving = add(save, "keep the state of the folder's sandbox in a file")
    saving.add_argument("name", metavar="NAME", help="what to call it; it is kept in DIR/saved")
    saving.add_argument("--force", action="store_true", help="instead of one of that name")
    loading = add(load, "start a sandbox with a saved state, instead of the one that runs", starts=True)
    loading.add_argument(
        "name", nargs="?", metavar="NAME", help="of one in DIR/saved, or a path; lists them without"
    )
    loading.add_argument("--yes", action="store_true", help="do not ask before a running sandbox is ended")
    add(shell, "a shell for the folder's sandbox, which is started if it does not run", starts=True)
    words = "run a sandbox in the foreground, until it is stopped or idle"
    foreground = add(serve, words, starts=True, several=True)
    foreground.add_argument("--lock", type=int, action="append", default=[], help=argparse.SUPPRESS)
    foreground.add_argument("--load", type=Path, metavar="FILE", help="a saved state to begin with")
    return parser


def seconds(text: str) -> int:
    if (seconds := int(text)) <= 0:
        raise ValueError
    return seconds


def _lasting(text: str) -> int:
    try:
        return lasting(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _command(name: str, folder: Path) -> str:
    words = [*_PROGRAM.split(), name]
    return shlex.join([*words, "--state", str(folder)] if folder != _FOLDER else words)


if __name__ == "__main__":
    raise SystemExit(main())
