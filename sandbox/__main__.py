"""`python -m sandbox serve --state DIR`: run a sandbox in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox.server.launcher import IDLE_SECONDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox")
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve", help="run a sandbox until it is stopped or idle")
    serve.add_argument("--state", type=Path, required=True, help="the sandbox's folder")
    serve.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds without a request that end it")
    serve.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    from sandbox.server.serve import main as run

    return run(options.state, options.idle, options.lock)


if __name__ == "__main__":
    raise SystemExit(main())
