"""What a command line that only lists or completes must not wait for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workshop.settings import ROOT

_HEAVY = ("azure", "aiohttp", "httptools", "rich", "msgspec", "yaml", "cryptography")
_HEAVY += ("ssl", "sqlite3", "uvloop", "pydantic")


def _imported(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_the_runbook_imports_nothing_heavy() -> None:
    imported = _imported("import labs")
    assert "labs.azure.aks" in imported
    assert not {name.partition(".")[0] for name in imported} & set(_HEAVY)
    assert "asyncio" not in imported


def test_sending_requests_imports_no_general_client() -> None:
    """It would be a fifth of the time of a run with one proof."""
    imported = _imported("import workshop.traffic.measuring, workshop.mesh.promotion_run")
    assert "httptools" in imported
    assert not {"aiohttp", "yarl", "requests"} & imported


@pytest.mark.parametrize("module", ["connection", "cluster", "network", "operations", "preflight", "step_work"])
def test_azure_s_clients_are_imported_only_when_they_are_used(module: str) -> None:
    assert not {name for name in _imported(f"import workshop.azure.{module}") if name.startswith("azure.")}


def test_istioctl_imports_what_its_command_needs() -> None:
    """YAML and Python's own HTTP client were a third of what most of its commands took."""
    imported = _imported(
        "import sandbox.istioctl.commands, sandbox.istioctl.analyze, sandbox.istioctl.proxy_config"
    )
    assert "sandbox.istioctl.api_client" in imported
    assert not {"yaml", "http.client", "aiohttp", "email"} & imported
