"""fortio's log lines: JSON, or coloured text on a terminal; on standard error, with the file and line of fortio's
own source that says so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

DEBUG, VERBOSE, INFO, WARNING, ERROR = range(5)
_JSON = ("dbug", "trace", "info", "warn", "err", "crit", "fatal")
_TEXT = ("DBG", "VRB", "INF", "WRN", "ERR", "CRI", "FTL")
_COLORS = ("\033[37m", "\033[36m", "\033[32m", "\033[33m", "\033[31m", "\033[35m", "\033[91m")
_RESET, _GRAY, _BLUE = "\033[0m", "\033[90m", "\033[34m"

Value = str | int | float


class Logger:
    def __init__(self, write: Callable[[bytes], None], level: int, *, color: bool) -> None:
        self._write, self.level, self._color = write, level, color

    def shows(self, level: int) -> bool:
        return level >= self.level

    def log(self, level: int, where: str, message: str, routine: int = 1, /, **facts: Value) -> None:
        """`where` is `file.go:line`; `routine` the number of the goroutine that would say it."""
        if self.shows(level):
            line = self._text if self._color else self._structured
            self._write(line(level, routine, where, message, facts).encode() + b"\n")

    @staticmethod
    def _structured(level: int, routine: int, where: str, message: str, facts: dict[str, Value]) -> str:
        file, _, line = where.partition(":")
        head = f'{{"ts":{time.time():.6f},"level":"{_JSON[level]}","r":{routine}'
        rest = {"file": file, "line": int(line), "msg": message, **facts}
        return f"{head},{json.dumps(rest, ensure_ascii=False, separators=(',', ':'))[1:]}"

    @staticmethod
    def _text(level: int, routine: int, where: str, message: str, facts: dict[str, Value]) -> str:
        now = f"{datetime.now(UTC):%H:%M:%S.%f}"[:-3]
        color = _COLORS[level]
        tail = "".join(f"{_RESET}, {_BLUE}{name}{_RESET}={color}{value}" for name, value in facts.items())
        head = f"{_GRAY}{now} {_COLORS[0]}r{routine} {_GRAY}[{color}{_TEXT[level]}{_GRAY}]"
        return f"{head} {where}> {color}{message}{tail}{_RESET}"
