"""Command-line options as Unix commands take them: `-sS`, `-o FILE`, `--max-time 5`, `--max-time=5`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.images.commands.process import Usage


def parse(
    arguments: Sequence[str], flags: str | Mapping[str, str], valued: str | Mapping[str, str] = ""
) -> tuple[dict[str, list[str]], list[str]]:
    """Options (by name, each with its values; a flag's are empty) and operands.

    `flags` and `valued` are letters, or long names by letter or long name. Raises Usage for anything else.
    """
    flag_names = dict.fromkeys(flags) if isinstance(flags, str) else flags
    value_names = dict.fromkeys(valued) if isinstance(valued, str) else valued
    found: dict[str, list[str]] = {}
    operands: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            operands += waiting
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in value_names and not equals:
                value = _value(word, waiting)
            elif name not in value_names and (name not in flag_names or equals):
                raise Usage(f"unrecognized option '{word}'")
            canonical = (value_names if name in value_names else flag_names).get(name) or name
            found.setdefault(canonical, []).append(value)
        elif word.startswith("-") and len(word) > 1:
            _letters(word[1:], flag_names, value_names, found, waiting)
        else:
            operands.append(word)
    return found, operands


def _letters(
    letters: str,
    flags: Mapping[str, str | None],
    valued: Mapping[str, str | None],
    found: dict[str, list[str]],
    waiting: list[str],
) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in flags:
            found.setdefault(flags[letter] or letter, []).append("")
        elif letter in valued:
            value = letters or _value(f"-{letter}", waiting)
            found.setdefault(valued[letter] or letter, []).append(value)
            return
        else:
            raise Usage(f"unrecognized option '-{letter}'")


def _value(option: str, waiting: list[str]) -> str:
    if not waiting:
        raise Usage(f"option '{option}' requires an argument")
    return waiting.pop(0)
