"""Commands on the screen do in a shell what they are."""

from __future__ import annotations

import subprocess

import pytest

from tests.console.rendering import bare, rendered
from workshop.console.commands import Commands


def test_a_long_comment_stays_a_comment_when_it_is_pasted() -> None:
    """A backslash at a comment's end is a part of it: the next line would be a command."""
    comment = "# " + "expected: 25% " * 12
    shown = bare(rendered(Commands().lines([comment.strip(), "echo done"])))
    assert len(shown.splitlines()) > 2
    done = subprocess.run(["sh", "-ec", shown], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get pods",
        "echo '<<' " + "word " * 30,
        "kubectl apply -f - <<'EOF'\n---\na:  1\n\nb: |\n  two   \n  three\nEOF",
        f"kubectl apply {'--option=value ' * 8}-f - <<EOF\na: $A\nEOF",
    ],
)
def test_colours_change_nothing_in_what_is_typed(command: str) -> None:
    typed = list(Commands().typed([command]))
    assert bare(rendered(Commands().lines([command]))) == f"{typed[0]}\n"
    assert max(len(line) for line in typed[0].splitlines()) <= 80
