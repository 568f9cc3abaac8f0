"""podinfo's flags and their `PODINFO_...` variables: names and defaults are podinfo's own (`cmd/podinfo/main.go`).

A flag on the command line beats its variable, as with the library podinfo reads them with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.images.program import ProgramError

LEVELS = ("debug", "info", "warn", "error", "fatal", "panic")
_TRUE = ("1", "t", "true", "TRUE", "True", "T")
_FALSE = ("0", "f", "false", "FALSE", "False", "F")

REFUSED = (
    *("cache-server", "cert-path", "config", "config-path", "data-path", "grpc-port", "grpc-service-name", "h2c"),
    *("host", "http-client-timeout", "http-server-timeout", "otel-service-name", "port-metrics", "secure-port"),
    *("server-shutdown-timeout", "stress-cpu", "stress-memory", "ui-path"),
)
"""Flags of podinfo's that the sandbox's does not have."""


def _boolean(text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise ValueError("parsing: invalid syntax")
    return text in _TRUE


def _urls(text: str) -> tuple[str, ...]:
    return tuple(one for one in text.split(",") if one)


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"accepted values are: {'|'.join(known)}")
        return text

    return read


def _flag(read: Callable[[str], Any], default: Any) -> Any:
    return field(default=default, metadata={"read": read})


@dataclass(frozen=True)
class Options:
    """Each field is a flag (`random_delay_min`: --random-delay-min, PODINFO_RANDOM_DELAY_MIN)."""

    port: int = _flag(int, 9898)
    level: str = _flag(_one_of(*LEVELS), "info")
    backend_url: tuple[str, ...] = _flag(_urls, ())
    ui_color: str = _flag(str, "#34577c")
    ui_message: str = _flag(str, "")
    """Empty: a greeting with the version."""
    ui_logo: str = _flag(str, "https://raw.githubusercontent.com/stefanprodan/podinfo/gh-pages/cuddle_clap.gif")
    random_delay: bool = _flag(_boolean, False)
    random_delay_unit: str = _flag(_one_of("s", "ms"), "s")
    random_delay_min: int = _flag(int, 0)
    random_delay_max: int = _flag(int, 5)
    random_error: bool = _flag(_boolean, False)
    unhealthy: bool = _flag(_boolean, False)
    unready: bool = _flag(_boolean, False)


FLAGS = {one.name.replace("_", "-"): one for one in fields(Options)}


def parse(arguments: list[str], env: Mapping[str, str]) -> Options:
    """Raises ProgramError, with podinfo's exit status of 2. A port that is no number is passed over, as podinfo
    does: Kubernetes sets PODINFO_PORT to tcp://... for a service of that name."""
    values = {
        one.name: _read(name, env[variable], variable)
        for name, one in FLAGS.items()
        if env.get(variable := _variable(name)) and (name != "port" or env[variable].isdecimal())
    }
    for name in REFUSED:
        if env.get(_variable(name)):
            raise ProgramError(f"not supported by the sandbox's podinfo: {_variable(name)}", 2)
    given: dict[str, Any] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in FLAGS:
            raise _unknown(word, name)
        read = FLAGS[name].metadata["read"]
        if not equals:
            if read is _boolean:
                text = "true"
            elif not words:
                raise ProgramError(f"Error: flag needs an argument: --{name}", 2)
            else:
                text = words.pop(0)
        value = _read(name, text, f"--{name}")
        given[FLAGS[name].name] = (*given.get("backend_url", ()), *value) if read is _urls else value
    return _checked(Options(**{**values, **given}))


def _variable(name: str) -> str:
    return f"PODINFO_{name.upper().replace('-', '_')}"


def _read(name: str, text: str, where: str) -> Any:
    try:
        return FLAGS[name].metadata["read"](text)
    except ValueError as error:
        raise ProgramError(f'Error: invalid argument "{text}" for "{where}": {error}', 2) from None


def _unknown(word: str, name: str) -> ProgramError:
    if name in REFUSED:
        return ProgramError(f"flag not supported by the sandbox's podinfo: {word}", 2)
    known = " ".join(f"--{one}" for one in FLAGS)
    return ProgramError(f"Error: unknown flag: {word} (the sandbox's podinfo has {known})", 2)


def _checked(options: Options) -> Options:
    low, high = options.random_delay_min, options.random_delay_max
    if high < low:
        raise ProgramError("`--random-delay-max` should be greater than `--random-delay-min`", 2)
    if options.random_delay and high == low:
        raise ProgramError(
            "`--random-delay-max` equal to `--random-delay-min`: podinfo itself would panic at every request", 2
        )
    return options
