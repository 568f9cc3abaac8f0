"""Draw what a workshop command shows as an SVG: `python tools/picture.py docs/canary.svg invoke lab.istio.canary`.

The command runs as it always does, and its exit status is kept; the picture is what stays on the screen, under the
command as its title. README's pictures are drawn anew when a run looks otherwise, from an empty sandbox:

    invoke sandbox.down
    invoke lab.istio.gateway
    python tools/picture.py docs/run.svg invoke lab.istio.canary
    python tools/picture.py docs/rollback.svg invoke lab.istio.canary --promote erring

The last one ends with 1: a promotion that rolled back has failed. The mesh's graph is drawn of BookInfo with
reviews at 80 and 20, half of the calls to ratings late, and the breaker's limits met by fortio, some requests a
second of each:

    python tools/picture.py docs/observe.svg invoke observe --once
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    path, *command = sys.argv[1:]
    picture = {"WORKSHOP_PICTURE": str(Path(path).resolve()), "WORKSHOP_PICTURE_TITLE": " ".join(command)}
    return subprocess.run(command, env=os.environ | picture, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
