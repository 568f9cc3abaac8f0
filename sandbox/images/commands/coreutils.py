"""Small commands every container has: about its files, environment and time, and what answers are piped into."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from itertools import groupby

from sandbox.images.commands.process import CommandFunction, Process, UsageError, options


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


def _unescape(text: str) -> str:
    for code, char in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\\\", "\\")):
        text = text.replace(code, char)
    return text


async def cat(process: Process) -> int:
    _, paths = options(process.arguments, "u")
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


async def ls(process: Process) -> int:
    _, paths = options(process.arguments, "a1A")
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


async def env(process: Process) -> int:
    if process.arguments:
        raise UsageError("running a command with env is not supported: use sh -c")
    for name, value in process.env.items():
        process.print(f"{name}={value}")
    return 0


async def printenv(process: Process) -> int:
    _, names = options(process.arguments, "")
    if not names:
        return await env(process)
    for name in names:
        if name in process.env:
            process.print(process.env[name])
    return int(not process.env.keys() >= set(names))


async def pwd(process: Process) -> int:
    process.print(process.directory)
    return 0


async def hostname(process: Process) -> int:
    found, _ = options(process.arguments, "is")
    process.print(process.container.ip if "i" in found else process.container.pod_name)
    return 0


async def date(process: Process) -> int:
    _, operands = options(process.arguments, "u")
    now = datetime.now(UTC)
    layout = operands[0][1:] if operands and operands[0].startswith("+") else "%a %b %e %H:%M:%S UTC %Y"
    process.print(now.strftime(layout.replace("%s", str(int(now.timestamp())))))
    return 0


async def sleep(process: Process) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    total = 0.0
    for word in process.arguments or [""]:
        number, unit = (word[:-1], units[word[-1]]) if word[-1:] in units else (word, 1)
        try:
            total += float("inf") if number in ("infinity", "inf") else float(number) * unit
        except ValueError:
            raise UsageError(f"invalid time interval '{word}'") from None
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
        raise UsageError("missing ]")
    return int(not _is_true(process, words))


def _is_true(process: Process, words: list[str]) -> bool:
    for joint, combine in (("-o", any), ("-a", all)):
        if joint in words[1:-1]:
            at = words.index(joint, 1)
            return combine([_is_true(process, words[:at]), _is_true(process, words[at + 1 :])])
    files = process.container.files
    match words:
        case []:
            return False
        case ["!", *rest]:
            return not _is_true(process, rest)
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
                raise UsageError(f"bad number in {' '.join(words)}") from None
            return {
                "-eq": difference == 0,
                "-ne": difference != 0,
                "-lt": difference < 0,
                "-le": difference <= 0,
                "-gt": difference > 0,
                "-ge": difference >= 0,
            }[how]
    raise UsageError(f"not supported: {' '.join(words)}")


# Lines of text.


async def _lines(process: Process, paths: list[str]) -> list[str]:
    data = b"".join([await process.input(path) for path in paths or ["-"]])
    return data.decode(errors="replace").splitlines()


async def grep(process: Process) -> int:
    """Line by line as they come, so that it works behind a command that does not end."""
    found, operands = options(
        process.arguments,
        dict.fromkeys("oicvqEFw", "") | {"color": "color", "ignore-case": "i", "only-matching": "o", "count": "c"},
        {"e": "e"},
    )
    patterns = found.get("e") or [operands.pop(0)] if found.get("e") or operands else []
    if not patterns:
        raise UsageError("usage: grep [-oicvqEFw] PATTERN [FILE]...")
    text = "|".join(_expression(pattern, found) for pattern in patterns)
    expression = re.compile(rf"\b(?:{text})\b" if "w" in found else text, re.IGNORECASE if "i" in found else 0)
    count = 0
    for path in operands or ["-"]:
        if path == "-":
            while line := await process.stdin.readline():
                count += _grep_line(process, expression, found, line.decode(errors="replace").rstrip("\n"))
        else:
            for text in (await process.input(path)).decode(errors="replace").splitlines():
                count += _grep_line(process, expression, found, text)
    if "c" in found:
        process.print(str(count))
    return int(not count)


def _expression(pattern: str, found: dict[str, list[str]]) -> str:
    if "F" in found:
        return re.escape(pattern)
    if "E" in found:
        return pattern
    # Basic expressions: \( \) \| \+ \? are the operators, the plain characters are themselves.
    return re.sub(
        r"\\([(){}|+?])|([(){}|+?])|(\\?.)",
        lambda part: part[1] or (f"\\{part[2]}" if part[2] else part[3]),
        pattern,
    )


def _grep_line(process: Process, expression: re.Pattern[str], found: dict[str, list[str]], line: str) -> int:
    matches = [match[0] for match in expression.finditer(line)]
    if bool(matches) == ("v" in found):
        return 0
    if not found.keys() & {"c", "q"}:
        for text in [match for match in matches if match] if "o" in found else [line]:
            process.print(text)
    return 1


async def head(process: Process) -> int:
    count, paths = _count(process)
    if paths:
        for line in (await _lines(process, paths))[:count]:
            process.print(line)
        return 0
    while count > 0 and (data := await process.stdin.readline()):
        process.out(data)
        count -= 1
    return 0


async def tail(process: Process) -> int:
    count, paths = _count(process)
    for line in (await _lines(process, paths))[-count:] if count else ():
        process.print(line)
    return 0


def _count(process: Process) -> tuple[int, list[str]]:
    words = [f"-n{word[1:]}" if word[1:].isdigit() and word[0] == "-" else word for word in process.arguments]
    found, paths = options(words, "", "n")
    number = found.get("n", ["10"])[-1]
    if not number.isdigit():
        raise UsageError(f"invalid number '{number}'")
    return int(number), paths


async def wc(process: Process) -> int:
    found, paths = options(process.arguments, "lwc")
    data = b"".join([await process.input(path) for path in paths or ["-"]])
    sizes = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    process.print(" ".join(str(sizes[which]) for which in "lwc" if which in found or not found))
    return 0


async def sort(process: Process) -> int:
    found, paths = options(process.arguments, "nru")
    lines = await _lines(process, paths)
    lines = list(set(lines)) if "u" in found else lines
    lines.sort(key=_leading_number if "n" in found else lambda line: (0.0, line), reverse="r" in found)
    for line in lines:
        process.print(line)
    return 0


def _leading_number(line: str) -> tuple[float, str]:
    found = re.match(r"\s*(-?\d+(?:\.\d+)?)", line)
    return (float(found[1]) if found else 0.0, line)


async def uniq(process: Process) -> int:
    found, paths = options(process.arguments, "c")
    for line, same in groupby(await _lines(process, paths)):
        process.print(f"{len(list(same)):7d} {line}" if "c" in found else line)
    return 0


async def seq(process: Process) -> int:
    numbers = [int(word) for word in process.arguments if word.lstrip("-").isdigit()]
    if len(numbers) != len(process.arguments) or not 1 <= len(numbers) <= 3:
        raise UsageError("usage: seq [FIRST [STEP]] LAST")
    first, step, last = {1: (1, 1, *numbers), 2: (numbers[0], 1, numbers[-1])}.get(len(numbers), tuple(numbers))
    for number in range(first, last + (1 if step > 0 else -1), step or 1):
        process.print(str(number))
    return 0


COMMANDS: dict[str, CommandFunction] = {
    "[": test,
    "cat": cat,
    "date": date,
    "echo": echo,
    "egrep": grep,
    "env": env,
    "false": false,
    "grep": grep,
    "head": head,
    "hostname": hostname,
    "ls": ls,
    "printenv": printenv,
    "pwd": pwd,
    "seq": seq,
    "sleep": sleep,
    "sort": sort,
    "tail": tail,
    "test": test,
    "true": true,
    "uniq": uniq,
    "wc": wc,
}
