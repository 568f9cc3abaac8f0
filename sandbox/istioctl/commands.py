"""The commands and their flags, and what they have in common: help, errors, exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from sandbox.istioctl import real_commands
from sandbox.istioctl.api_client import Invocation
from sandbox.istioctl.command_line import NOT_HERE, Flag, IstioctlError, UsageError, parse
from sandbox.mesh.istio import ISTIO_NAMESPACE

_GLOBAL = (
    Flag("kubeconfig", "c", "Kubernetes configuration file"),
    Flag("context", "", "Kubernetes configuration context"),
    Flag("namespace", "n", "Kubernetes namespace"),
    Flag("istioNamespace", "i", "Istio system namespace", default=ISTIO_NAMESPACE),
    Flag("help", "h", "Help for a command", switch=True, default="false"),
)
_OUTPUT = Flag("output", "o", "One of 'yaml' or 'json'")
_YES = (
    Flag("skip-confirmation", "y", "Do not ask before the cluster is changed", switch=True, default="false"),
    Flag("yes", "", "The same", switch=True, default="false"),
)


@dataclass(frozen=True)
class Command:
    """`function` (MODULE:NAME) takes an Invocation; it is imported when the command is used."""

    words: tuple[str, ...]
    function: str
    help: str
    flags: tuple[Flag, ...] = ()
    operands: str = ""


def _proxy_config(kind: str, *filters: str, verbose: bool = False) -> Command:
    shape = Flag("output", "o", "Output format: one of json|yaml|short", default="short")
    flags = [Flag(name, "", f"Only {kind} with this {name}") for name in filters]
    if verbose:
        flags.append(Flag("verbose", "", "Output more information", switch=True, default="true"))
    help_ = f"Retrieves {kind} of the Envoy in a pod"
    operands = "POD[.NAMESPACE] | TYPE/NAME[.NAMESPACE]"
    return Command(("proxy-config", kind), "proxy_config:proxy_config", help_, (shape, *flags), operands)


def _dashboard(what: str, operands: str = "") -> Command:
    flags = (
        Flag("address", "", "Address to listen on", default="localhost"),
        Flag("browser", "", "Use --browser=false to open no browser", switch=True, default="true"),
        Flag("port", "p", "Local port to listen to", default="0"),
        Flag("ui-port", "", "The component dashboard UI port", default=""),
    )
    help_ = f"Open {what.capitalize()} {'admin ' if operands else ''}web UI"
    return Command(("dashboard", what), "dashboard:dashboard", help_, flags, operands)


COMMANDS = (
    Command(
        ("version",),
        "cluster_status:version",
        "Prints out build version information",
        (
            _OUTPUT,
            Flag("remote", "", "Use --remote=false to suppress control plane check", switch=True, default="true"),
        ),
    ),
    Command(
        ("install",),
        "install:install",
        "Applies an Istio manifest, installing or reconfiguring Istio on a cluster",
        (
            Flag("filename", "f", "File with an IstioOperator", many=True),
            Flag("set", "s", "Override a value: PATH=VALUE", many=True),
            *_YES,
            Flag("readiness-timeout", "", "How long to wait for Istio to be ready", default="5m0s"),
        ),
    ),
    Command(
        ("uninstall",),
        "install:uninstall",
        "Uninstall Istio from a cluster",
        (
            *_YES,
            Flag("purge", "", "Delete all of Istio", switch=True, default="false"),
            Flag("set", "", "Override a value, as in install: PATH=VALUE", many=True),
        ),
    ),
    Command(
        ("analyze",),
        "analyze:analyze",
        "Analyze Istio configuration and print validation messages",
        (
            _OUTPUT,
            Flag("all-namespaces", "A", "Analyze all namespaces", switch=True, default="false"),
            Flag("use-kube", "k", "Use the cluster, too", switch=True, default="true"),
        ),
        "[FILE...]",
    ),
    Command(
        ("x", "precheck"), "cluster_status:precheck", "Check whether Istio can safely be installed or upgraded"
    ),
    Command(
        ("x", "describe", "pod"),
        "describe:describe_pod",
        "Describe a pod and its configuration",
        (),
        "POD[.NAMESPACE]",
    ),
    Command(
        ("x", "describe", "service"),
        "describe:describe_service",
        "Describe a service and its configuration",
        (),
        "SERVICE[.NAMESPACE]",
    ),
    Command(
        ("x", "injector", "list"), "injection_status:injector_list", "List sidecar injector and sidecar versions"
    ),
    Command(
        ("x", "check-inject"),
        "injection_status:check_inject",
        "Check whether a pod is (or will be) injected, and explain why",
        (Flag("labels", "l", "Check the namespace with these labels of a pod: KEY=VALUE,…"),),
        "[POD[.NAMESPACE] | TYPE/NAME[.NAMESPACE]]",
    ),
    Command(
        ("proxy-status",),
        "cluster_status:proxy_status",
        "Retrieves the synchronization status of each Envoy in the mesh",
        (Flag("verbosity", "v", "Verbosity level: 0=default, 1=show all xDS types", default="0"),),
    ),
    *map(_dashboard, ("grafana", "jaeger", "kiali", "prometheus")),
    _dashboard("envoy", "POD[.NAMESPACE] | TYPE/NAME[.NAMESPACE]"),
    _proxy_config("clusters", "fqdn", "direction", "subset", "port"),
    _proxy_config("listeners", "address", "type", "port", verbose=True),
    _proxy_config("routes", "name", verbose=True),
    _proxy_config("endpoints", "address", "port", "cluster", "status"),
    _proxy_config("secrets"),
)
_OTHER_NAMES = {
    **{"experimental": "x", "exp": "x", "ps": "proxy-status", "pc": "proxy-config"},
    **{"dash": "dashboard", "d": "dashboard"},
}
_DESCRIBED = {"po": "pod", "svc": "service"}
_KINDS = {
    **dict.fromkeys(("cluster", "c"), "clusters"),
    **dict.fromkeys(("listener", "l"), "listeners"),
    **dict.fromkeys(("route", "r"), "routes"),
    **dict.fromkeys(("endpoint", "ep"), "endpoints"),
    **dict.fromkeys(("secret", "s"), "secrets"),
}
"""Other names of what `proxy-config` shows."""
_NAMES_AFTER = {("proxy-config",): _KINDS, ("x",): {"des": "describe"}, ("x", "describe"): _DESCRIBED}


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
    arguments = parse(argv, [*_GLOBAL, *command.flags], real_commands.flags_of(command.words))
    arguments.words = arguments.words[len(command.words) :]
    arguments.command = command.words
    if arguments.on("help"):
        print(_command_help(command))
        return 0
    if arguments.words and not command.operands:
        raise UsageError(f'unknown command "{arguments.words[0]}" for "istioctl {" ".join(command.words)}"')
    module, _, function = command.function.partition(":")
    run: Callable[[Invocation], int] = getattr(import_module(f"{__package__}.{module}"), function)
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
            names = _NAMES_AFTER.get(tuple(found), _OTHER_NAMES)
            found.append(names.get(word, word))
    return found


def _find(words: list[str]) -> Command | None:
    return next((command for command in COMMANDS if tuple(words[: len(command.words)]) == command.words), None)


def _unknown(words: list[str]) -> str:
    group = " ".join(words[:1]) if any(words[0] == command.words[0] for command in COMMANDS) else ""
    what = words[1] if group and len(words) > 1 else words[0]
    if real_commands.is_command(group, what):
        return f'unsupported command "{what}" for "{f"istioctl {group}".strip()}": {NOT_HERE}'
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


def _flag_lines(flags: Iterable[Flag]) -> list[str]:
    return [
        f"  {f'-{flag.short},' if flag.short else '   '} --{flag.name:<20} {flag.help}".rstrip()
        for flag in sorted(flags, key=lambda flag: flag.name)
    ]
