"""`curl`, `wget` and `nslookup`, through the pod's own network."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from sandbox.images.commands.process import CommandFunction, Process, UsageError, options

_FLAGS = {
    **dict.fromkeys("sSiIvLfkgN", ""),
    **{"silent": "s", "show-error": "S", "include": "i", "head": "I", "verbose": "v", "location": "L", "fail": "f"},
    **{"insecure": "k", "globoff": "g", "no-buffer": "N"},
}
_VALUED = {
    **dict.fromkeys("oHXdbwmA", ""),
    **{"output": "o", "header": "H", "request": "X", "data": "d", "cookie": "b", "write-out": "w"},
    **{"max-time": "m", "user-agent": "A", "connect-timeout": ""},
}
_MOST_REDIRECTS = 50
_VARIABLES: Mapping[str, str] = {
    "http_code": "000",
    "redirect_url": "",
    "size_download": "0",
    "time_total": "0.000000",
    "url_effective": "",
}
"""What `-w` may ask of a transfer, as it is of one without an answer."""
_VARIABLE = re.compile(r"%\{(\w+)\}")
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}

Headers = list[tuple[str, str]]
"""In order; a name may come several times."""


@dataclass(slots=True)
class _Call:
    found: Mapping[str, list[str]]
    body: bytes | None
    limit: float | None
    """In seconds, as is the next; None: no limit of its own."""
    connecting: float | None
    variables: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        return name in self.found

    def last(self, name: str, default: str = "") -> str:
        return self.found.get(name, [default])[-1]

    def headers(self) -> Headers:
        """curl's own, and those of `-H`, each of which comes instead of its own."""
        own = {"User-Agent": self.last("A", "curl/8.16.0"), "Accept": "*/*"}
        if self.body is not None:
            own["Content-Type"] = "application/x-www-form-urlencoded"
        if self.has("b"):
            own["Cookie"] = "; ".join(self.found["b"])
        given = [line for text in self.found.get("H", ()) if (line := _line(text))]
        named = {name.lower() for name, _ in given}
        headers = [(name, value) for name, value in own.items() if name.lower() not in named]
        # aiohttp keeps several values of a name, but not of two spellings of it.
        spelled: dict[str, str] = {}
        return headers + [
            (spelled.setdefault(name.lower(), name), value) for name, value in given if value is not None
        ]


def _seconds(found: Mapping[str, list[str]], name: str) -> float | None:
    """Raises UsageError."""
    try:
        return float(found.get(name, ["0"])[-1]) or None
    except ValueError:
        raise UsageError(f"option {name}: expected a proper numerical parameter") from None


def _line(text: str) -> tuple[str, str | None] | None:
    """`-H 'NAME: VALUE'`; `NAME:` only takes curl's own out (None); `NAME;` sends it empty; others say nothing."""
    name, colon, value = text.partition(":")
    if colon:
        return name.strip(), value.strip() or None
    name, semicolon, rest = text.partition(";")
    return (name.strip(), "") if semicolon and not rest.strip() else None


class _Failed(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def curl(process: Process) -> int:
    try:
        found, urls = options(process.arguments, _FLAGS, _VALUED)
    except UsageError as usage:
        known = " ".join(sorted(f"-{name}" if len(name) == 1 else f"--{name}" for name in {**_FLAGS, **_VALUED}))
        return process.complain(f"{usage}\ncurl: the sandbox's curl knows {known}", 2)
    limit, connecting = (_seconds(found, name) for name in ("m", "connect-timeout"))
    call = _Call(found, await _body(process, found.get("d", ())), limit, connecting)
    template = call.last("w")
    if unknown := [name for name in _VARIABLE.findall(template) if name not in _VARIABLES]:
        return process.complain(f"variable {unknown[0]} of -w is not supported by the sandbox's curl", 2)
    if any("=" not in cookie for cookie in found.get("b", ())):
        return process.complain("a file of cookies is not supported by the sandbox's curl: -b NAME=VALUE", 2)
    if not urls:
        return process.complain("(2) no URL specified", 2)
    for escape, character in _ESCAPES.items():
        template = template.replace(escape, character)
    status = 0
    async with process.container.network.new_session() as session:
        for url in urls:
            call.variables = dict(_VARIABLES)
            try:
                status = await _transfer(process, session, call, url)
            except _Failed as failed:
                status = failed.status
                if not call.has("s") or call.has("S"):
                    process.err(f"curl: ({status}) {failed}\n".encode())
            if template:
                process.out(_VARIABLE.sub(lambda variable: call.variables[variable[1]], template).encode())
    return status


async def _body(process: Process, given: Sequence[str]) -> bytes | None:
    pieces = [
        (await process.input(text[1:])).replace(b"\r", b"").replace(b"\n", b"")
        if text.startswith("@")
        else text.encode()
        for text in given
    ]
    return b"&".join(pieces) if pieces else None


async def _transfer(process: Process, session: aiohttp.ClientSession, call: _Call, given: str) -> int:
    url = _url(given)
    default = "HEAD" if call.has("I") else "GET" if call.body is None else "POST"
    method, body = call.last("X", default), call.body
    began = time.perf_counter()
    try:
        async with asyncio.timeout(call.limit):
            for _ in range(_MOST_REDIRECTS):
                reply = await _request(process, session, call, method, url, body)
                further = _redirected(url, reply)
                if not (call.has("L") and further):
                    break
                await reply.read()
                url = further
                if method == "POST" and reply.status in (301, 302, 303):
                    method, body = "GET", None
            else:
                raise _Failed(47, f"Maximum ({_MOST_REDIRECTS}) redirects followed")
            size = await _receive(process, call, reply, method)
    except TimeoutError:
        waited = int((time.perf_counter() - began) * 1000)
        raise _Failed(28, f"Operation timed out after {waited} milliseconds with 0 bytes received") from None
    except aiohttp.ClientPayloadError as error:
        raise _Failed(18, "transfer closed with outstanding read data remaining") from error
    finally:
        call.variables |= {"time_total": f"{time.perf_counter() - began:.6f}", "url_effective": str(url)}
    call.variables["size_download"] = str(size)
    if call.has("f") and reply.status >= 400:
        raise _Failed(22, f"The requested URL returned error: {reply.status}")
    return 0


def _url(given: str) -> URL:
    try:
        url = URL(given if "://" in given else f"http://{given}")
    except ValueError as error:
        why = (
            "Port number was not a decimal number between 0 and 65535" if "port" in str(error).lower() else _NO_HOST
        )
        raise _Failed(3, f"URL rejected: {why}") from error
    if url.scheme != "http":
        raise _Failed(1, f"Protocol {url.scheme!r} not supported: the sandbox's pods speak plain HTTP")
    if not url.raw_host:
        raise _Failed(3, f"URL rejected: {_NO_HOST}")
    return url


_NO_HOST = "No host part in the URL"
_WRONG_PORT = "Port number was not a decimal number between 0 and 65535"


def _redirected(url: URL, reply: aiohttp.ClientResponse) -> URL | None:
    location = reply.headers.get("Location")
    return url.join(URL(location)) if location and 300 <= reply.status < 400 else None


async def _request(
    process: Process, session: aiohttp.ClientSession, call: _Call, method: str, url: URL, body: bytes | None
) -> aiohttp.ClientResponse:
    headers = call.headers()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=call.connecting or session.timeout.sock_connect)
    call.variables |= {"http_code": "000", "redirect_url": ""}
    try:
        reply = await session.request(
            method, url, headers=headers, data=body, allow_redirects=False, timeout=timeout
        )
    except aiohttp.ConnectionTimeoutError as error:
        raise _Failed(28, "Connection timed out") from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, socket.gaierror):
            raise _Failed(6, f"Could not resolve host: {url.raw_host}") from error
        reason = error.os_error.strerror or "Connection refused"
        raise _Failed(7, f"Failed to connect to {url.raw_host} port {url.port}: {reason}") from error
    except aiohttp.ServerDisconnectedError as error:
        raise _Failed(52, "Empty reply from server") from error
    except aiohttp.ClientError as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _Failed(56, f"Recv failure: {reason}") from error
    call.variables |= {"http_code": str(reply.status), "redirect_url": str(_redirected(url, reply) or "")}
    lines = [f"HTTP/1.1 {reply.status} {reply.reason}".encode(), *(k + b": " + v for k, v in reply.raw_headers)]
    if call.has("v"):
        host = [] if any(name.lower() == "host" for name, _ in headers) else [("Host", url.authority)]
        sent = [f"> {method} {url.raw_path_qs} HTTP/1.1", *(f"> {name}: {value}" for name, value in host + headers)]
        came = [f"< {line.decode(errors='replace')}" for line in lines]
        told = [f"* Connected to {url.raw_host} port {url.port}", *sent, ">", *came, "<"]
        process.err(("\n".join(told) + "\n").encode())
    if call.has("i") or call.has("I"):
        process.out(b"\r\n".join([*lines, b"", b""]))
    return reply


async def _receive(process: Process, call: _Call, reply: aiohttp.ClientResponse, method: str) -> int:
    path = call.last("o", "-")
    write = process.out
    if path != "-":
        process.container.files.write(process.path(path), b"")
        write = lambda data: process.container.files.write(process.path(path), data, append=True)  # noqa: E731
    if method == "HEAD" or (call.has("f") and reply.status >= 400):
        reply.release()
        return 0
    size = 0
    async for data in reply.content.iter_any():
        write(data)
        size += len(data)
    return size


async def wget(process: Process) -> int:
    """busybox's: `-q -O- -T SECONDS`. Follows redirects; a status of 400 or more fails."""
    found, urls = options(process.arguments, "q", "OT")
    if len(urls) != 1:
        raise UsageError("usage: wget [-q] [-O FILE] [-T SECONDS] URL")
    name = urls[0].rstrip("/").rsplit("/", 1)[-1]
    arguments = ["-sSfL", "-o", found["O"][-1] if "O" in found else name]
    arguments += ["-m", found["T"][-1]] if "T" in found else []
    process.arguments = [*arguments, urls[0]]
    return int(await curl(process) != 0)


async def nslookup(process: Process) -> int:
    if len(process.arguments) != 1:
        raise UsageError("usage: nslookup NAME")
    name = process.arguments[0]
    try:
        address = process.container.network.resolve(name)
    except OSError:
        return process.complain(f"can't resolve '{name}': Name does not resolve")
    process.print(f"Name:\t{name}\nAddress: {address}")
    return 0


COMMANDS: dict[str, CommandFunction] = {"curl": curl, "nslookup": nslookup, "wget": wget}
