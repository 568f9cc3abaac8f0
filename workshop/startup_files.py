"""How each shell is told the workshop's variables after the user's own startup files, which may set others.

A variable that is only handed down loses to an `export KUBECONFIG` of a .bashrc, and a shell that says that kubectl
talks to the workshop's cluster lies. So every shell gets a startup file of the workshop's. It reads the user's own
one first, then sets the variables, once more at the first prompt (direnv and the like set some there), and drops
what else stands between a typed `kubectl` and the cluster: aliases and functions of the user's.

The prompt says where kubectl talks to. That is looked up each time it is shown: `kubectl config use-context` and an
`export KUBECONFIG` by hand are the person's right, and change what it says. Prompts that the user's own hooks make
anew each time get it as well, as ours is the last hook. A plain POSIX shell has none: there it stays as it began.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PYTHON = str(Path(sys.executable).parent)
"""Last on the PATH: where `invoke` is, should nothing else lead to it any more."""

_ELSEWHERE = "not the workshop's cluster"
"""In the prompt, once KUBECONFIG is another."""

_ANOTHER = "another context"

_GONE = "no cluster any more"
"""Where the kubeconfig is gone, or names no context."""


@dataclass(frozen=True)
class Session:
    """What a shell is to have: `variables`, KUBECONFIG among them, and the folder `tools` first on its PATH. Its
    prompt says `target` and the one of `contexts` that is the current one."""

    target: str
    contexts: tuple[str, ...]
    variables: Mapping[str, str]
    tools: Path

    @property
    def kubeconfig(self) -> str:
        return self.variables["KUBECONFIG"]

    @property
    def environment(self) -> dict[str, str]:
        """For a shell that reads no startup files."""
        path = os.pathsep.join([str(self.tools), os.environ.get("PATH", "")])
        return {**os.environ, **self.variables, "PATH": path}


@dataclass(frozen=True)
class Start:
    """How to start a shell. `told` is whether it is going to read the workshop's startup files."""

    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    told: bool = True


def interactive(shell: str, session: Session, folder: Path) -> Start:
    """`folder` is for the startup files of this one shell, and has to be there while it starts."""
    kind = _kind(shell)
    write = _WRITERS.get(kind)
    return write(kind, session, folder) if write else Start(told=False)


def plain(shell: str) -> Start:
    """For commands from a file or a pipe: no startup files at all, also where the shell would read some."""
    kind = _kind(shell)
    arguments = {"zsh": ("-f",), "fish": ("--no-config",)}.get(kind, ())
    return Start(arguments, {"BASH_ENV": ""} if kind == "bash" else {})


def _kind(shell: str) -> str:
    """The "bash" of /usr/local/bin/bash-5.2; empty for one that is not known."""
    found = re.fullmatch(r"(bash|zsh|fish|sh|dash|ash|ksh|mksh)(?:[-\d].*)?", Path(shell).name)
    return found[1] if found else ""


def _bash(kind: str, session: Session, folder: Path) -> Start:
    file = folder / "bashrc"
    _write(
        file,
        _reading("~/.bashrc"),
        _functions(session),
        "__workshop_set",
        "case $(declare -p PROMPT_COMMAND 2>/dev/null) in",  # not its length, which `set -u` trips over
        "'declare -a'*) PROMPT_COMMAND+=(__workshop_prompt) ;;",
        "*) PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\\n'}__workshop_prompt ;;",
        "esac",
    )
    return Start(("--rcfile", str(file)))


def _zsh(kind: str, session: Session, folder: Path) -> Start:
    """zsh looks for its files in ZDOTDIR, which may be the user's already, or be set in the first one it reads."""
    ours, theirs = shlex.quote(str(folder)), os.environ.get("ZDOTDIR", "")
    _write(
        folder / ".zshenv",
        f"ZDOTDIR={shlex.quote(theirs)}" if theirs else "unset ZDOTDIR",
        _reading('"${ZDOTDIR:-$HOME}/.zshenv"'),
        _functions(session),
        "__workshop_set",
        "__workshop_theirs=${ZDOTDIR-}",
        f"export ZDOTDIR={ours}",
    )
    _write(
        folder / ".zshrc",
        'if [ -n "$__workshop_theirs" ]; then ZDOTDIR=$__workshop_theirs; else unset ZDOTDIR; fi',
        # Where the system's zshrc has put it beside the others.
        f"case ${{HISTFILE-}} in {ours}/*) HISTFILE=${{ZDOTDIR:-$HOME}}/${{HISTFILE##*/}} ;; esac",
        _reading('"${ZDOTDIR:-$HOME}/.zshrc"'),
        "__workshop_set",
        "precmd_functions+=(__workshop_prompt)",
    )
    return Start(variables={"ZDOTDIR": str(folder)})


def _posix(kind: str, session: Session, folder: Path) -> Start:
    """ENV names the file, and may do so with variables in it, so that some paths cannot be said. Without it, ksh
    and mksh have a file of their own."""
    file, theirs = folder / "shrc", os.environ.get("ENV", "")
    if re.search(r"[$`'\"\\]", str(file)):
        return Start(told=False)
    read = theirs.replace('"', '\\"') or (f"$HOME/.{kind}rc" if kind in ("ksh", "mksh") else "")
    _write(
        file,
        f"ENV={shlex.quote(theirs)}" if theirs else "unset ENV",
        _reading(f'"{read}"') if read else "",
        _functions(session),
        "__workshop_prompt",
    )
    return Start(variables={"ENV": str(file)})


def _functions(session: Session) -> str:
    """For every shell of the Bourne family. What is put into the prompt has nothing in it that a shell expands."""
    kubeconfig, tools, python = map(shlex.quote, (session.kubeconfig, str(session.tools), _PYTHON))
    variables = "\n".join(f"    export {name}={shlex.quote(value)}" for name, value in session.variables.items())
    target = _shown(session.target)
    marks = "\n".join(
        f"        {shlex.quote(context)}) __workshop_mark='({target} {_shown(context)}) ' ;;"
        for context in session.contexts
    )
    return f"""__workshop_set() {{
{variables}
    case $PATH in {tools}:*) ;; *) PATH={tools}:$PATH ;; esac
    case :$PATH: in *:{python}:*) ;; *) PATH=$PATH:{python} ;; esac
    export PATH
    unalias kubectl istioctl helm 2>/dev/null || :
    unset -f kubectl istioctl helm 2>/dev/null || :
}}
__workshop_prompt() {{
    if [ -n "${{ZSH_VERSION-}}" ]; then emulate -L sh; fi
    if [ -z "${{__workshop_begun-}}" ]; then __workshop_begun=yes; __workshop_set; fi
    PS1=${{PS1#"${{__workshop_mark-}}"}}
    if [ "${{KUBECONFIG-}}" = {kubeconfig} ]; then
        __workshop_context
        case $__workshop_found in
{marks}
        '') __workshop_mark='({target}, {_GONE}) ' ;;
        *) __workshop_mark='({target}, {_ANOTHER}) ' ;;
        esac
    else
        __workshop_mark={shlex.quote(f"({_ELSEWHERE}) ")}
    fi
    PS1=$__workshop_mark$PS1
}}
__workshop_context() {{
    __workshop_found=
    while IFS= read -r __workshop_line; do
        case $__workshop_line in
        current-context:*|*'"current-context":'*)
            __workshop_found=${{__workshop_line#*:}}
            __workshop_found=${{__workshop_found# }}
            __workshop_found=${{__workshop_found#\\"}}
            __workshop_found=${{__workshop_found%,}}
            __workshop_found=${{__workshop_found%\\"}} ;;
        esac
    done <{kubeconfig} 2>/dev/null
}}"""


def _fish(kind: str, session: Session, folder: Path) -> Start:
    """fish evaluates what it is given once it has read its own files."""
    kubeconfig, tools, python = map(_for_fish, (session.kubeconfig, str(session.tools), _PYTHON))
    current = r"""string replace -rf '^\s*"?current-context"?:\s*"?([^",]*).*' '$1'"""
    variables = (f"    set -gx {name} {_for_fish(value)}" for name, value in session.variables.items())
    file = folder / "init.fish"
    _write(
        file,
        "function __workshop_set",
        *variables,
        f'    test "$PATH[1]" = {tools}; or set -gx PATH {tools} $PATH',
        f"    contains -- {python} $PATH; or set -gx PATH $PATH {python}",
        "    functions --erase kubectl istioctl helm",
        "end",
        "function __workshop_status",
        "    return $argv[1]",
        "end",
        "__workshop_set",
        "functions --copy fish_prompt __workshop_theirs",
        "function fish_prompt",
        "    set -l last $status",
        "    if not set -q __workshop_begun",
        "        set -g __workshop_begun yes",
        "        __workshop_set",
        "    end",
        f'    if test "$KUBECONFIG" = {kubeconfig}',
        f"        set -l found ({current} <{kubeconfig} 2>/dev/null)",
        f'        if contains -- "$found[1]" {" ".join(map(_for_fish, session.contexts))}',
        f"            printf '(%s %s) ' {_for_fish(session.target)} \"$found[1]\"",
        '        else if test -n "$found[1]"',
        f"            printf '(%s, {_ANOTHER}) ' {_for_fish(session.target)}",
        "        else",
        f"            printf '(%s, {_GONE}) ' {_for_fish(session.target)}",
        "        end",
        "    else",
        f"        printf '(%s) ' {_for_fish(_ELSEWHERE)}",
        "    end",
        "    __workshop_status $last",
        "    __workshop_theirs",
        "end",
    )
    return Start(("--init-command", f"source {_for_fish(str(file))}"))


_WRITERS: Mapping[str, Callable[[str, Session, Path], Start]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
    **dict.fromkeys(("sh", "dash", "ash", "ksh", "mksh"), _posix),
}


def _write(file: Path, *lines: str) -> None:
    file.write_text("\n".join((*lines, "")), encoding="utf-8")


def _reading(file: str) -> str:
    return f"if [ -f {file} ]; then . {file}; fi"


def _shown(name: str) -> str:
    """A context may have any name, and a prompt is text that shells expand."""
    return re.sub(r"[^\w.:/@+,=-]", "_", name)


def _for_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
