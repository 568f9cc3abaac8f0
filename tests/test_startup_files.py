"""Real shells with startup files of the user's own that lead kubectl elsewhere, each in the way of its shell: by
variables, again before the first prompt as direnv does, by an alias or a function, and with prompts made anew each
time. Seen: kubectl talked to the user's cluster while the shell said that it talked to the sandbox."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.terminal import HANGS, at_terminal
from workshop import startup_files
from workshop.startup_files import Session

KUBECTL = Path(sys.executable).with_name("kubectl")

ELSEWHERE = """export KUBECONFIG=/theirs KUBECTL_KUBERC=true PATH=/usr/bin:/bin
echo 'their file is read'
"""
BOURNE = f"""{ELSEWHERE}kubectl() {{ echo 'their kubectl'; }}
their_hook() {{
    PS1='me> '
    if [ -z "$hooked" ]; then hooked=yes; export KUBECONFIG=/direnv; fi
}}
"""
FISH = """set -gx KUBECONFIG /theirs
set -gx KUBECTL_KUBERC true
set -gx PATH /usr/bin /bin
status is-interactive; and echo 'their file is read'
function kubectl; echo 'their kubectl'; end
function their_hook --on-event fish_prompt
    set -q hooked; or set -gx KUBECONFIG /direnv
    set -g hooked yes
end
function fish_prompt; echo "status $status me> "; end
"""

FILES = {
    "bash": {
        ".bashrc": f"{BOURNE}hooked=\nPROMPT_COMMAND=their_hook\nset -u\nalias istioctl='echo their istioctl'\n",
    },
    "zsh": {
        ".zshenv": f"{ELSEWHERE}ZDOTDIR=$HOME/their\\ own\n",
        "their own/.zshrc": f"setopt warn_create_global prompt_subst\nhooked=\n{BOURNE}precmd() {{ their_hook }}\n",
    },
    # Where it has been before: else it reads all manuals, beside the shell and longer than it.
    "fish": {".config/fish/config.fish": FISH, ".local/share/fish/generated_completions/one.fish": ""},
    "dash": {"their shrc": f"{ELSEWHERE}alias kubectl='echo their kubectl'\nPS1='me> '\n"},
    "ksh": {".kshrc": f"{ELSEWHERE}alias kubectl='echo their kubectl'\nPS1='me> '\n"},
}
HOOKED = ("bash", "zsh", "fish")


@dataclass(frozen=True)
class Started:
    session: Session
    folder: Path
    environment: dict[str, str]

    def typed(self, shell: str, *lines: str) -> tuple[int, str]:
        start = startup_files.interactive(shell, self.session, self.folder)
        environment = {**self.session.environment, **self.environment, **start.variables}
        keys = [("me> ", line) for line in (*lines, "exit 7")]
        return at_terminal([shell, *start.arguments], keys, environment=environment, folder=self.folder)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """A kubeconfig with two contexts, and a name for the first one that a shell would run."""
    home, tools, folder = tmp_path / "home", tmp_path / "the tools", tmp_path / "of one shell"
    for each in (home, tools, folder):
        each.mkdir()
    (tools / "kubectl").symlink_to(KUBECTL)
    contexts = ("primary$(echo no)`%n", "secondary")
    kubeconfig = tmp_path / "it's a kubeconfig"
    entries = [{"name": name, "context": {"cluster": name, "user": ""}} for name in (*contexts, "third")]
    content = {"apiVersion": "v1", "kind": "Config", "contexts": entries, "current-context": contexts[0]}
    kubeconfig.write_text(json.dumps(content, indent=2))
    monkeypatch.setenv("KUBECONFIG", "/of/their/login/shell")
    for name in ("ENV", "ZDOTDIR", "BASH_ENV"):
        monkeypatch.delenv(name, raising=False)
    variables = {"KUBECONFIG": str(kubeconfig), "KUBECTL_KUBERC": "false"}
    environment = {"HOME": str(home), "TERM": "dumb", "XDG_CONFIG_HOME": str(home / ".config")}
    return Started(Session("sandbox", contexts, variables, tools), folder, environment)


def with_files(started: Started, shell: str) -> str:
    """Where the shell is, once the user has files for it."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed here")
    for name, content in FILES[shell].items():
        file = Path(started.environment["HOME"]) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return found


@pytest.mark.parametrize("shell", FILES)
def test_what_the_user_s_files_say_is_read_and_then_set_right(
    started: Started, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = with_files(started, shell)
    if shell == "dash":
        monkeypatch.setenv("ENV", "$HOME/their shrc")
    status, seen = started.typed(
        program,
        'echo "config=$KUBECONFIG kuberc=$KUBECTL_KUBERC"',
        "printenv PATH",
        'echo "found:$(kubectl config current-context)"',  # in one piece: what is typed ahead is echoed between two
        "kubectl config use-context secondary",
        "kubectl config use-context third",
        "export KUBECONFIG=/by-hand",
    )
    assert status == 7, seen
    assert "their file is read" in seen
    assert f"config={started.session.kubeconfig} kuberc=false" in seen
    assert f"{started.session.tools}:/usr/bin:/bin:{KUBECTL.parent}" in seen
    assert f"found:{started.session.contexts[0]}" in seen
    assert "their kubectl" not in seen
    assert "created globally" not in seen
    first = started.session.contexts[0] if shell == "fish" else "primary__echo_no___n"
    assert f"(sandbox {first}) " in seen
    if shell in HOOKED:
        assert "(sandbox secondary) " in seen
        assert "(sandbox, another context) " in seen
        assert "(not the workshop's cluster) " in seen


@pytest.mark.parametrize("shell", HOOKED)
def test_the_prompt_tells_when_the_cluster_is_gone_and_leaves_the_exit_status(started: Started, shell: str) -> None:
    program = with_files(started, shell)
    _, seen = started.typed(
        program, "sh -c 'exit 3'", "rm $KUBECONFIG" if shell == "fish" else 'rm "$KUBECONFIG"', ""
    )
    assert "(sandbox, no cluster any more) " in seen
    if shell == "fish":
        assert "status 3 me> " in seen


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "dash"])
def test_commands_from_a_pipe_are_read_without_startup_files(started: Started, shell: str) -> None:
    program = with_files(started, shell)
    start = startup_files.plain(program)
    done = subprocess.run(
        [program, *start.arguments],
        env={
            **started.session.environment,
            **started.environment,
            "BASH_ENV": str(Path(started.environment["HOME"]) / ".bashrc"),
            **start.variables,
        },
        input='echo "config=$KUBECONFIG"\nkubectl config current-context\nexit 5\n',
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 5
    assert done.stdout == f"config={started.session.kubeconfig}\n{started.session.contexts[0]}\n"


def test_of_a_shell_that_is_not_known_it_is_said_that_nothing_is_told(started: Started) -> None:
    assert not startup_files.interactive("/usr/bin/tcsh", started.session, started.folder).told
    assert startup_files.interactive("/opt/bin/bash-5.2", started.session, started.folder).told
    quoted = started.folder / "it's"
    assert not startup_files.interactive("/bin/dash", started.session, quoted).told
