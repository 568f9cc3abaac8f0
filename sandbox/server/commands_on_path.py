"""The commands of a sandbox's PATH: the real kubectl, and the sandbox's own istioctl."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def install(folder: Path) -> None:
    """Put them into `folder`, in place of what is there."""
    folder.mkdir(exist_ok=True)
    kubectl = folder / "kubectl"
    kubectl.unlink(missing_ok=True)
    if (found := _kubectl()) is not None:
        kubectl.symlink_to(found)
    istioctl = folder / "istioctl"
    python = shlex.quote(sys.executable)
    istioctl.write_text(
        "#!/bin/sh\n"
        f'PYTHONPATH={shlex.quote(str(_ROOT))}"${{PYTHONPATH:+:$PYTHONPATH}}" '
        f'exec {python} -m sandbox.istioctl "$@"\n',
        encoding="utf-8",
    )
    istioctl.chmod(0o755)


def _kubectl() -> str | None:
    """Beside this Python (where its package puts it), else on the PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("kubectl", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
