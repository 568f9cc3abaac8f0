"""The commands and their flags, and what they have in common: help, errors, exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from sandbox.istioctl.client import Client, connect
from sandbox.istioctl.errors import IstioctlError, UsageError
from sandbox.istioctl.flags import Arguments, Flag, parse

_GLOBAL = [
    Flag("kubeconfig", "c", "Kubernetes configuration file"),
    Flag("context", "", "Kubernetes configuration context"),
    Flag("namespace", "n", "Kubernetes namespace"),
    Flag("istioNamespace", "i", "Istio system namespace", default="istio-system"),
    Flag("help", "h", "Help for a command", switch=True, default="false"),
]
_OUTPUT = Flag("output", "o", "One of 'yaml' or 'json'")
_YES = Flag("skip-confirmation", "y", "Do not ask before the cluster is changed", switch=True, default="false")
_YES_LONG = Flag("yes", "", "The same", switch=True, default="false")


@dataclass(frozen=True)
class Command:
    """`module` has the function `run(Invocation)`; it is imported when the command is used."""

    words: tuple[str, ...]
    module: str
    help: str
    flags: tuple[Flag, ...] = ()
    operands: str = ""


_SETTINGS = (
    Flag("filename", "f", "File with an IstioOperator", many=True),
    Flag("set", "s", "Override a value: PATH=VALUE", many=True),
)
_POD = "POD[.NAMESPACE] | TYPE/NAME[.NAMESPACE]"
_SHAPE = Flag("output", "o", "Output format: one of json|yaml|short", default="short")
_VERBOSE = Flag("verbose", "", "Output more information", switch=True, default="true")
_PROXY_CONFIG = {
    "clusters": (
        _SHAPE,
        Flag("fqdn", "", "Filter clusters by substring of Service FQDN field"),
        Flag("direction", "", "Filter clusters by Direction field"),
        Flag("subset", "", "Filter clusters by substring of Subset field"),
        Flag("port", "", "Filter clusters by Port field"),
    ),
    "listeners": (
        _SHAPE,
        _VERBOSE,
        Flag("address", "", "Filter listeners by address field"),
        Flag("type", "", "Filter listeners by type field"),
        Flag("port", "", "Filter listeners by Port field"),
    ),
    "routes": (_SHAPE, _VERBOSE, Flag("name", "", "Filter routes by route name field")),
    "endpoints": (
        _SHAPE,
        Flag("address", "", "Filter endpoints by address field"),
        Flag("port", "", "Filter endpoints by Port field"),
        Flag("cluster", "", "Filter endpoints by cluster name field"),
        Flag("status", "", "Filter endpoints by status field"),
    ),
}

COMMANDS = (
    Command(
        ("version",),
        "version",
        "Prints out build version information",
        (
            _OUTPUT,
            Flag(
                "short", "s", "Use --short=false to generate full version information", switch=True, default="true"
            ),
            Flag("remote", "", "Use --remote=false to suppress control plane check", switch=True, default="true"),
        ),
    ),
    Command(
        ("install",),
        "install",
        "Applies an Istio manifest, installing or reconfiguring Istio on a cluster",
        (
            *_SETTINGS,
            _YES,
            _YES_LONG,
            Flag("readiness-timeout", "", "How long to wait for Istio to be ready", default="5m0s"),
        ),
    ),
    Command(
        ("uninstall",),
        "uninstall",
        "Uninstall Istio from a cluster",
        (_YES, _YES_LONG, Flag("purge", "", "Delete all of Istio", switch=True, default="false")),
    ),
    Command(
        ("analyze",),
        "analyze",
        "Analyze Istio configuration and print validation messages",
        (
            _OUTPUT,
            Flag("all-namespaces", "A", "Analyze all namespaces", switch=True, default="false"),
            Flag("use-kube", "k", "Use the cluster, too", switch=True, default="true"),
            Flag("failure-threshold", "", "The severity at which to fail: Info, Warning or Error", default="Error"),
        ),
        "[FILE...]",
    ),
    Command(("x", "precheck"), "precheck", "Check whether Istio can safely be installed or upgraded", (_OUTPUT,)),
    Command(
        ("proxy-status",),
        "proxy_status",
        "Retrieves the synchronization status of each Envoy in the mesh",
        (Flag("verbosity", "v", "Verbosity level: 0=default, 1=show all xDS types", default="0"),),
    ),
    *(
        Command(("proxy-config", kind), "proxy_config", f"Retrieves {kind} of the Envoy in a pod", flags, _POD)
        for kind, flags in _PROXY_CONFIG.items()
    ),
)
_OTHER_NAMES = {"experimental": "x", "exp": "x", "ps": "proxy-status", "pc": "proxy-config"}
_KINDS = {
    **dict.fromkeys(("cluster", "c"), "clusters"),
    **dict.fromkeys(("listener", "l"), "listeners"),
    **dict.fromkeys(("route", "r"), "routes"),
    **dict.fromkeys(("endpoint", "ep"), "endpoints"),
}
"""Other names of what `proxy-config` shows."""


@dataclass
class Invocation:
    """A command being run: its arguments, and the cluster when it is asked for."""

    arguments: Arguments
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """Raises IstioctlError when there is no cluster, or not a sandbox."""
        if self._client is None:
            self._client = connect(self.arguments.text("kubeconfig"), self.arguments.text("context"))
            self._client.check_sandbox()
        return self._client

    @property
    def istio_namespace(self) -> str:
        return self.arguments.text("istioNamespace")

    @property
    def namespace(self) -> str:
        return self.arguments.text("namespace") or self.client.namespace

    def confirmed(self, question: str) -> bool:
        """Whether a person (or -y) agrees."""
        if self.arguments.on("skip-confirmation") or self.arguments.on("yes"):
            return True
        print(f"{question} (y/N) ", end="", flush=True)
        answer = sys.stdin.readline().strip().lower()
        if answer not in ("y", "yes"):
            print("Cancelled.")
            return False
        return True


def main(argv: list[str]) -> int:
    """Run a command; returns its exit status."""
    try:
        return _run(argv)
    except IstioctlError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough; the interpreter must not fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: list[str]) -> int:
    words = _words(argv)
    command = _find(words)
    if command is None:
        if words and words[0] != "help" and words != ["x"]:
            raise UsageError(_unknown(words))
        parse(argv, _GLOBAL)
        wanted = _find(words[1:])
        print(_command_help(wanted) if wanted else _help())
        return 0
    arguments = parse(argv, [*_GLOBAL, *command.flags])
    arguments.words = arguments.words[len(command.words) :]
    arguments.command = command.words
    if arguments.on("help"):
        print(_command_help(command))
        return 0
    if arguments.words and not command.operands:
        raise UsageError(f'unknown command "{arguments.words[0]}" for "istioctl {" ".join(command.words)}"')
    run: Callable[[Invocation], int] = import_module(f"{__package__}.{command.module}").run
    return run(Invocation(arguments))


def _words(argv: list[str]) -> list[str]:
    """The words of an argument list; flags that all commands have may stand among them."""
    found: list[str] = []
    with_value = {f"--{flag.name}" for flag in _GLOBAL if not flag.switch}
    with_value |= {f"-{flag.short}" for flag in _GLOBAL if flag.short and not flag.switch}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in with_value and rest:
            rest.pop(0)
        elif not word.startswith("-"):
            names = _KINDS if found == ["proxy-config"] else _OTHER_NAMES
            found.append(names.get(word, word))
    return found


def _find(words: list[str]) -> Command | None:
    return next((command for command in COMMANDS if tuple(words[: len(command.words)]) == command.words), None)


def _unknown(words: list[str]) -> str:
    group = " ".join(words[:1]) if any(words[0] == command.words[0] for command in COMMANDS) else ""
    what = words[1] if group and len(words) > 1 else words[0]
    known = ", ".join(" ".join(command.words) for command in COMMANDS)
    return f'unknown command "{what}" for "{f"istioctl {group}".strip()}": the sandbox\'s istioctl has {known}'


def _help() -> str:
    lines = [
        "The sandbox's own istioctl: what a workshop needs of the real one, against the embedded sandbox only.",
        "",
        "Usage:",
        "  istioctl [command]",
        "",
        "Available Commands:",
        *(f"  {' '.join(command.words):<14} {command.help}" for command in COMMANDS),
        "",
        "Flags:",
        *_flag_lines(_GLOBAL),
        "",
        'Use "istioctl [command] --help" for more information about a command.',
    ]
    return "\n".join(lines)


def _command_help(command: Command) -> str:
    usage = " ".join(("istioctl", *command.words, *filter(None, [command.operands]), "[flags]"))
    lines = [command.help, "", "Usage:", f"  {usage}", "", "Flags:", *_flag_lines([*command.flags, *_GLOBAL])]
    return "\n".join(lines)


def _flag_lines(flags: list[Flag]) -> list[str]:
    return [
        f"  {f'-{flag.short},' if flag.short else '   '} --{flag.name:<20} {flag.help}".rstrip()
        for flag in sorted(flags, key=lambda flag: flag.name)
    ]
