"""Commands about the container itself: its files, environment, name and time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sandbox.images.commands import options
from sandbox.images.commands.process import CommandFunction, Process, Usage


async def echo(process: Process) -> int:
    words = list(process.arguments)
    newline, escapes = True, False
    while words and words[0].startswith("-") and words[0][1:] and not words[0][1:].strip("neE"):
        newline = newline and "n" not in words[0]
        escapes = escapes or "e" in words[0]
        words.pop(0)
    text = " ".join(words)
    process.out(((_unescape(text) if escapes else text) + ("\n" if newline else "")).encode())
    return 0


async def printf(process: Process) -> int:
    if not process.arguments:
        raise Usage("usage: printf FORMAT [ARGUMENT]...")
    text, *values = process.arguments
    pieces = _unescape(text).replace("%%", "\0").split("%")
    written = [pieces[0]]
    for piece in pieces[1:]:
        if piece[:1] not in ("s", "d"):
            raise Usage(f"%{piece[:1]} is not supported")
        written += [values.pop(0) if values else "", piece[1:]]
    process.out("".join(written).replace("\0", "%").encode())
    return 0


def _unescape(text: str) -> str:
    for code, char in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\\\", "\\")):
        text = text.replace(code, char)
    return text


async def cat(process: Process) -> int:
    _, paths = options.parse(process.arguments, "u")
    status = 0
    for path in paths or ["-"]:
        if path == "-":
            while data := await process.stdin.read(65536):
                process.out(data)
            continue
        try:
            process.out(await process.input(path))
        except OSError as error:
            status = process.complain(f"{path}: {error.strerror}")
    return status


async def tee(process: Process) -> int:
    found, paths = options.parse(process.arguments, "a")
    data = await process.stdin.read()
    process.out(data)
    for path in paths:
        process.container.files.write(process.path(path), data, append="a" in found)
    return 0


async def ls(process: Process) -> int:
    _, paths = options.parse(process.arguments, "la1A")
    status = 0
    for path in paths or ["."]:
        where = process.directory if path == "." else process.path(path)
        try:
            for name in process.container.files.entries(where):
                process.print(name)
        except NotADirectoryError:
            process.print(path)
        except OSError as error:
            status = process.complain(f"{path}: {error.strerror}")
    return status


async def rm(process: Process) -> int:
    found, paths = options.parse(process.arguments, "rf")
    status = 0
    for path in paths:
        try:
            process.container.files.remove(process.path(path))
        except OSError as error:
            if "f" not in found:
                status = process.complain(f"can't remove '{path}': {error.strerror}")
    return status


async def env(process: Process) -> int:
    names = process.arguments if process.name == "printenv" else []
    if process.name == "env" and process.arguments:
        raise Usage("running a command with env is not supported: use sh -c")
    if not names:
        for name, value in process.env.items():
            process.print(f"{name}={value}")
        return 0
    for name in names:
        if name in process.env:
            process.print(process.env[name])
    return int(any(name not in process.env for name in names))


async def pwd(process: Process) -> int:
    process.print(process.directory)
    return 0


async def hostname(process: Process) -> int:
    found, _ = options.parse(process.arguments, "is")
    process.print(process.container.ip if "i" in found else process.container.pod_name)
    return 0


async def whoami(process: Process) -> int:
    process.print("root")
    return 0


async def identity(process: Process) -> int:
    found, _ = options.parse(process.arguments, "ugn")
    if "u" in found or "g" in found:
        process.print("root" if "n" in found else "0")
    else:
        process.print("uid=0(root) gid=0(root) groups=0(root)")
    return 0


async def date(process: Process) -> int:
    found, operands = options.parse(process.arguments, "uR", "I")
    now = datetime.now(UTC)
    layout = operands[0][1:] if operands and operands[0].startswith("+") else "%a %b %e %H:%M:%S UTC %Y"
    if "R" in found:
        layout = "%a, %d %b %Y %H:%M:%S +0000"
    process.print(
        now.strftime(layout.replace("%s", str(int(now.timestamp()))).replace("%N", f"{now.microsecond:06d}000"))
    )
    return 0


async def sleep(process: Process) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    total = 0.0
    for word in process.arguments or [""]:
        number, unit = (word[:-1], units[word[-1]]) if word[-1:] in units else (word, 1)
        try:
            total += float("inf") if number in ("infinity", "inf") else float(number) * unit
        except ValueError:
            raise Usage(f"invalid time interval '{word}'") from None
    if total == float("inf"):
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(total)
    return 0


async def true(process: Process) -> int:
    return 0


async def false(process: Process) -> int:
    return 1


async def test(process: Process) -> int:
    words = list(process.arguments)
    if process.name == "[" and (not words or words.pop() != "]"):
        raise Usage("missing ]")
    return int(not _holds(process, words))


def _holds(process: Process, words: list[str]) -> bool:
    for joint, combine in (("-o", any), ("-a", all)):
        if joint in words[1:-1]:
            at = words.index(joint, 1)
            return combine([_holds(process, words[:at]), _holds(process, words[at + 1 :])])
    files = process.container.files
    match words:
        case []:
            return False
        case ["!", *rest]:
            return not _holds(process, rest)
        case [word]:
            return bool(word)
        case ["-n", word]:
            return bool(word)
        case ["-z", word]:
            return not word
        case ["-e", path]:
            return files.exists(process.path(path))
        case ["-d", path]:
            return files.is_directory(process.path(path))
        case ["-f" | "-r" | "-s", path]:
            return files.exists(process.path(path)) and not files.is_directory(process.path(path))
        case [left, "=" | "==", right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case [left, ("-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge") as how, right]:
            try:
                difference = int(left) - int(right)
            except ValueError:
                raise Usage(f"bad number in {' '.join(words)}") from None
            return {
                "-eq": difference == 0,
                "-ne": difference != 0,
                "-lt": difference < 0,
                "-le": difference <= 0,
                "-gt": difference > 0,
                "-ge": difference >= 0,
            }[how]
    raise Usage(f"not supported: {' '.join(words)}")


COMMANDS: dict[str, CommandFunction] = {
    "[": test,
    "cat": cat,
    "date": date,
    "echo": echo,
    "env": env,
    "false": false,
    "hostname": hostname,
    "id": identity,
    "ls": ls,
    "printenv": env,
    "printf": printf,
    "pwd": pwd,
    "rm": rm,
    "sleep": sleep,
    "tee": tee,
    "test": test,
    "true": true,
    "whoami": whoami,
}
