"""From the words of a script to the words a command is called with: variables, commands, arithmetic, splitting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from sandbox.images.commands.arithmetic import evaluate
from sandbox.images.commands.tree import Part, Word


@dataclass(slots=True)
class Expansion:
    """What words mean at one moment in one shell. `output` runs a script and gives what it wrote."""

    variables: Mapping[str, str]
    arguments: Sequence[str]
    status: int
    output: Callable[[str], Awaitable[str]]

    async def fields(self, word: Word) -> list[str]:
        """A word's fields: what is not quoted is split at blanks."""
        fields: list[str] = []
        open_field = False
        for part in word:
            text = await self.text(part)
            splits = not part.quoted and part.kind != "text"
            if part.kind == "variable" and part.text == "@" and part.quoted:
                pieces = list(self.arguments)
            else:
                pieces = text.split() if splits else [text]
            open_field = open_field and not (splits and text[:1].isspace())
            for index, piece in enumerate(pieces):
                if open_field and index == 0:
                    fields[-1] += piece
                else:
                    fields.append(piece)
                open_field = True
            open_field = open_field and not (splits and text[-1:].isspace())
        return fields

    async def joined(self, word: Word) -> str:
        """A word where nothing is split: the value of an assignment."""
        return "".join([await self.text(part) for part in word])

    async def text(self, part: Part) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "arithmetic":
            return str(evaluate(part.text, self.variables))
        if part.kind == "command":
            return (await self.output(part.text)).rstrip("\n")
        special = {"?": str(self.status), "#": str(len(self.arguments)), "$": "1"}
        if part.text in ("@", "*"):
            value = " ".join(self.arguments)
        elif part.text.isdigit():
            value = (["sh", *self.arguments][int(part.text) : int(part.text) + 1] or [""])[0]
        else:
            value = special.get(part.text, self.variables.get(part.text, ""))
        return value or (part.default or "")
