"""gunicorn, as far as its command line and its logs go: HelloWorld's image is run by it.

The options are those a manifest gives, and `GUNICORN_CMD_ARGS`, which gunicorn reads before them. The log lines
have the shape of gunicorn's own (its manual, "Settings": `access_log_format`): one for each request once
`--access-logfile -` asks for them, none otherwise.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiohttp import web

from sandbox.images.program import ProgramError

_WORKERS = ("gevent", "sync")
_NAMES = {
    "-b": "bind",
    "--bind": "bind",
    "-k": "worker_class",
    "--worker-class": "worker_class",
    "-w": "workers",
    "--workers": "workers",
    "--access-logfile": "access_log",
}


@dataclass(frozen=True)
class Settings:
    port: int | None = None
    worker: str = "sync"
    access_log: bool = False


def parse(arguments: list[str], application: str, env: Mapping[str, str]) -> Settings:
    """The settings of a command line without its name: `-b 0.0.0.0:5000 app:app --access-logfile -`.

    Raises ProgramError, with the status gunicorn ends with.
    """
    settings = Settings()
    applications: list[str] = []
    words = [*shlex.split(env.get("GUNICORN_CMD_ARGS", "")), *arguments]
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            settings = _applied(settings, *_option(word, words))
        else:
            applications.append(word)
    if applications != [application]:
        raise ProgramError(f"Error: No application module specified: the image has one, {application}", 1)
    if settings.port is None:
        raise ProgramError("Error: gunicorn's own default, 127.0.0.1, is out of reach: give --bind 0.0.0.0:PORT", 1)
    return settings


def _option(word: str, words: list[str]) -> tuple[str, str]:
    if word.startswith("--"):
        option, equals, value = word.partition("=")
    else:
        option, value = word[:2], word[2:]
        equals = value
    if option not in _NAMES:
        known = ", ".join(_NAMES)
        raise ProgramError(f"gunicorn: error: unrecognized arguments: {word} (the sandbox's knows {known})", 2)
    if not equals:
        if not words:
            raise ProgramError(f"gunicorn: error: argument {option}: expected one argument", 2)
        value = words.pop(0)
    return _NAMES[option], value


def _applied(settings: Settings, name: str, value: str) -> Settings:
    if name == "bind":
        host, _, port = value.rpartition(":")
        if host not in ("", "0.0.0.0", "[0.0.0.0]", "[::]") or not port.isdecimal():  # noqa: S104 - of the pod
            raise ProgramError(f"gunicorn: error: the sandbox's binds to all addresses (0.0.0.0:PORT): {value}", 1)
        return replace(settings, port=int(port))
    if name == "worker_class":
        if value not in _WORKERS:
            raise ProgramError(f"Error: class uri '{value}' invalid or not found: the image has {_WORKERS}", 1)
        return replace(settings, worker=value)
    if name == "workers":
        if not value.isdecimal() or value == "0":
            raise ProgramError(f"Error: workers must be a positive number: {value}", 1)
        return settings
    if value != "-":
        raise ProgramError(
            f"gunicorn: error: the sandbox's writes its access log to - (standard output): {value}", 1
        )
    return replace(settings, access_log=True)


def start_lines(settings: Settings) -> list[str]:
    """What the server says when it begins to serve."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S +0000")
    said = (
        "Starting gunicorn",
        f"Listening at: http://0.0.0.0:{settings.port} (1)",
        f"Using worker: {settings.worker}",
    )
    return [f"[{now}] [1] [INFO] {text}" for text in said]


def access_line(request: web.BaseRequest, response: web.StreamResponse) -> str:
    """`%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"`, gunicorn's default."""
    now = datetime.now(UTC).strftime("[%d/%b/%Y:%H:%M:%S +0000]")
    body = response.body if isinstance(response, web.Response) else None
    size = len(body) if isinstance(body, bytes | bytearray) else 0
    headers = request.headers
    what = f"{request.method} {request.path_qs} HTTP/{request.version.major}.{request.version.minor}"
    return (
        f'{request.remote or "-"} - - {now} "{what}" {response.status} {size}'
        f' "{headers.get("Referer", "-")}" "{headers.get("User-Agent", "-")}"'
    )
