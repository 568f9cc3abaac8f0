"""Commands that do the same in whatever shell they are pasted into: for which cluster, and by which program.

A person's own kubectl and istioctl look for a kubeconfig elsewhere, take its current context, and may not be on the
PATH at all.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

_CALLED = r"(^|\$\(|\| )({}) (?!--context|--kubeconfig)"
"""Where a line calls one of some tools and does not say yet for which cluster."""


def pasted(command: str, tool: str, program: str, kubeconfig: Path, context: str) -> str:
    """`kubectl ...` or `istioctl ...` for this cluster. `program` is what the workshop itself calls, the one beside
    this Python unless it is known; the tool's name is enough where a shell finds it."""
    path = tool if shutil.which(tool) else program or str(Path(sys.executable).with_name(tool))
    argv = (path, f"--kubeconfig={kubeconfig.absolute()}", f"--context={context}")
    return _told(command, tool, lambda _: shlex.join(argv))


def with_context(command: str, context: str) -> str:
    """`kubectl ...` or `istioctl ...` as it is typed for a context that is not the current one, also where what it
    prints is put into a variable."""
    return _told(command, "kubectl|istioctl", lambda tool: f"{tool} --context {shlex.quote(context)}")


def _told(command: str, tools: str, told: Callable[[str], str]) -> str:
    """What a here-document has stays as it is."""
    line, newline, document = command.partition("\n")
    called = re.compile(_CALLED.format(tools))
    return called.sub(lambda found: f"{found[1]}{told(found[2])} ", line) + newline + document
