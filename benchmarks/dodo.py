"""The page's steps as tasks of doit, which `side_by_side.py` runs: each as soon as those it stands on are done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def task_page() -> Iterator[dict[str, Any]]:
    for step in json.loads(Path(os.environ["BENCHMARK_STEPS"]).read_text()):
        yield {
            "name": step["name"],
            "actions": [["bash", "-c", step["script"]]],
            "task_dep": [f"page:{name}" for name in step["after"]],
        }
