"""Where programs are that the sandbox neither has itself nor brings along."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def kubectl() -> str | None:
    """Beside this Python (where its package puts it), else on the PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("kubectl", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
