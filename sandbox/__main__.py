"""`python -m sandbox`: the sandbox without the labs.

    up       start the one of a folder, unless it runs
    down     stop it
    status   whether it runs, and where; status 1 when it does not
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
from sandbox.server import launcher
from sandbox.server.launcher import IDLE_SECONDS, NoAnswer, Running, SandboxError

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


def serve(options: argparse.Namespace) -> int:
    from sandbox.server import garbage

    garbage.put_off()
    # When it is imported, aiohttp reads the authorities that this machine trusts, for 40 ms; nobody here asks them.
    os.environ["SSL_CERT_FILE"] = os.devnull
    from sandbox.server.serve import main as run

    folders = options.state or [_FOLDER]
    if options.lock and len(options.lock) != len(folders):
        raise SystemExit(f"{_PROGRAM}: serve: as many --lock as --state, or none")
    return run(folders, options.idle, options.lock)


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
    add(shell, "a shell for the folder's sandbox, which is started if it does not run", starts=True)
    words = "run a sandbox in the foreground, until it is stopped or idle"
    foreground = add(serve, words, starts=True, several=True)
    foreground.add_argument("--lock", type=int, action="append", default=[], help=argparse.SUPPRESS)
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
