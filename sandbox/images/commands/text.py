"""Commands that work on lines of text: what people pipe an answer into."""

from __future__ import annotations

import re
from itertools import groupby

from sandbox.images.commands import options
from sandbox.images.commands.process import CommandFunction, Process, Usage


async def _lines(process: Process, paths: list[str]) -> list[str]:
    data = b"".join([await process.input(path) for path in paths or ["-"]])
    return data.decode(errors="replace").splitlines()


async def grep(process: Process) -> int:
    """Line by line as they come, so that it works behind a command that does not end."""
    found, operands = options.parse(
        process.arguments,
        dict.fromkeys("oicvqEFw", "") | {"color": "color", "ignore-case": "i", "only-matching": "o", "count": "c"},
        {"e": "e"},
    )
    patterns = found.get("e") or [operands.pop(0)] if found.get("e") or operands else []
    if not patterns:
        raise Usage("usage: grep [-oicvqEFw] PATTERN [FILE]...")
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
    found, paths = options.parse(words, "", "n")
    number = found.get("n", ["10"])[-1]
    if not number.isdigit():
        raise Usage(f"invalid number '{number}'")
    return int(number), paths


async def wc(process: Process) -> int:
    found, paths = options.parse(process.arguments, "lwc")
    data = b"".join([await process.input(path) for path in paths or ["-"]])
    sizes = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    process.print(" ".join(str(sizes[which]) for which in "lwc" if which in found or not found))
    return 0


async def sort(process: Process) -> int:
    found, paths = options.parse(process.arguments, "nru")
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
    found, paths = options.parse(process.arguments, "c")
    for line, same in groupby(await _lines(process, paths)):
        process.print(f"{len(list(same)):7d} {line}" if "c" in found else line)
    return 0


async def cut(process: Process) -> int:
    found, paths = options.parse(process.arguments, "", "df")
    if "f" not in found or not all(part.isdigit() for part in found["f"][-1].split(",")):
        raise Usage("usage: cut -d CHAR -f N[,N...]")
    delimiter = found.get("d", ["\t"])[-1]
    wanted = [int(part) - 1 for part in found["f"][-1].split(",")]
    for line in await _lines(process, paths):
        fields = line.split(delimiter)
        process.print(delimiter.join(fields[index] for index in wanted if index < len(fields)))
    return 0


async def tr(process: Process) -> int:
    found, sets = options.parse(process.arguments, "d")
    if len(sets) != (1 if "d" in found else 2):
        raise Usage("usage: tr [-d] SET1 [SET2]")
    first, second = (_members(text) for text in (*sets, "")[:2])
    table = {
        ord(char): None if "d" in found else second[min(index, len(second) - 1)] for index, char in enumerate(first)
    }
    process.out((await process.stdin.read()).decode(errors="replace").translate(table).encode())
    return 0


def _members(text: str) -> str:
    text = text.replace("\\n", "\n").replace("\\t", "\t")
    return re.sub(
        r"(.)-(.)", lambda part: "".join(map(chr, range(ord(part[1]), ord(part[2]) + 1))), text, flags=re.S
    )


async def seq(process: Process) -> int:
    numbers = [int(word) for word in process.arguments if word.lstrip("-").isdigit()]
    if len(numbers) != len(process.arguments) or not 1 <= len(numbers) <= 3:
        raise Usage("usage: seq [FIRST [STEP]] LAST")
    first, step, last = {1: (1, 1, *numbers), 2: (numbers[0], 1, numbers[-1])}.get(len(numbers), tuple(numbers))
    for number in range(first, last + (1 if step > 0 else -1), step or 1):
        process.print(str(number))
    return 0


COMMANDS: dict[str, CommandFunction] = {
    "cut": cut,
    "egrep": grep,
    "grep": grep,
    "head": head,
    "seq": seq,
    "sort": sort,
    "tail": tail,
    "tr": tr,
    "uniq": uniq,
    "wc": wc,
}
