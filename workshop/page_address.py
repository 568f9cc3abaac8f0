"""Where a page that a task serves is: the port that was asked for, and the addresses by which people get there."""

from __future__ import annotations

import ipaddress
import socket

from workshop import invocation
from workshop.runbook.errors import UsageError

_WARNING = (
    "whoever is in this network and has the address, or hears it (it is plain HTTP),\n"
    "sees {sees};\n"
    "nobody can change anything with it"
)


def port_of(given: str, task: str, default: str) -> int:
    """Raises UsageError for what is none."""
    if not given.isdecimal() or int(given) > 65535:
        raise UsageError(
            f"listen on port {given!r}",
            "it is a number from 1 to 65535, or 0 for any that is free",
            next_command=f"{invocation.invoke()} {task} --port {default}",
        )
    return int(given)


def addresses(host: str, port: int, token: str) -> list[str]:
    """A line for each by which this machine is reached."""
    return [f"  http://{f'[{place}]' if ':' in place else place}:{port}/?token={token}" for place in _places(host)]


def warning_of(host: str, sees: str) -> str:
    """What listening there exposes, in lines; empty where nobody else comes."""
    try:
        own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = host == "localhost"
    return "" if own else _WARNING.format(sees=sees)


def _places(host: str) -> list[str]:
    """By what others reach this machine, where it listens on all of its addresses."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared
        return [host]
    found = ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        try:
            there.connect(("192.0.2.1", 9))  # sends nothing: the way to everywhere says which address is ours
            found.insert(0, there.getsockname()[0])
        except OSError:
            found.insert(0, socket.gethostname())
    return list(dict.fromkeys(found))
