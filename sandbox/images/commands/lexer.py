"""From a script's text to its words and operators. Quotes and expansions are taken apart here."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.images.commands.tree import Part, SyntaxRefused, Word

_OPERATORS = ("&&", "||", ">>", ">&", ";", "|", "&", "(", ")", "<", ">", "\n")
_RESERVED = {"if", "then", "elif", "else", "fi", "for", "in", "do", "done", "while", "until", "{", "}", "!"}
REFUSED = {"case", "function", "select", "[["}


@dataclass(frozen=True, slots=True)
class Token:
    operator: str = ""
    word: Word = ()
    descriptor: int | None = None
    """The number glued before `<` or `>`."""

    def reserved(self) -> str:
        """The reserved word this is, or ""."""
        if len(self.word) == 1 and not self.word[0].quoted and self.word[0].kind == "text":
            text = self.word[0].text
            return text if text in _RESERVED or text in REFUSED else ""
        return ""


class Lexer:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r":
                self.at += 1
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text.startswith("<<", self.at):
                raise SyntaxRefused("here-documents are not supported")
            elif operator := next((op for op in _OPERATORS if self.text.startswith(op, self.at)), ""):
                self.at += len(operator)
                found.append(Token(operator))
            else:
                found.append(self._word_or_descriptor())
        return found

    def _word_or_descriptor(self) -> Token:
        after = self.text[self.at + 1 : self.at + 2]
        if self.text[self.at] in "012" and after in ("<", ">"):
            descriptor = int(self.text[self.at])
            self.at += 1
            operator = next(op for op in (">>", ">&", "<", ">") if self.text.startswith(op, self.at))
            self.at += len(operator)
            return Token(operator, descriptor=descriptor)
        return Token(word=self._word())

    def _word(self) -> Word:
        parts: list[Part] = []
        while self.at < len(self.text) and self.text[self.at] not in " \t\r\n;|&()<>":
            char = self.text[self.at]
            if char == "'":
                end = self._find("'", self.at + 1)
                parts.append(Part("text", self.text[self.at + 1 : end], True))
                self.at = end + 1
            elif char == '"':
                self.at += 1
                parts.append(Part("text", "", True))
                while self.at < len(self.text) and self.text[self.at] != '"':
                    parts.append(self._piece('"', True))
                self._expect('"')
            else:
                parts.append(self._piece(" \t\r\n;|&()<>'\"", False))
        return tuple(parts)

    def _piece(self, ends: str, quoted: bool) -> Part:
        """Literal text up to one of `ends`, or one expansion."""
        char = self.text[self.at]
        if char == "$":
            return self._expansion(quoted)
        if char == "`":
            end = self._find("`", self.at + 1)
            source, self.at = self.text[self.at + 1 : end], end + 1
            return Part("command", source, quoted)
        literal: list[str] = []
        while self.at < len(self.text) and (char := self.text[self.at]) not in ends and char not in "$`":
            if char == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                literal.append(following if not quoted or following in '$`"\\' else char + following)
                self.at += 2
            else:
                literal.append(char)
                self.at += 1
        return Part("text", "".join(literal), quoted)

    def _expansion(self, quoted: bool) -> Part:
        text, start = self.text, self.at + 1
        if text.startswith("((", start):
            end = self._closing(start)
            self.at = end + 1
            return Part("arithmetic", text[start + 2 : end - 1], quoted)
        if text.startswith("(", start):
            end = self._closing(start)
            self.at = end + 1
            return Part("command", text[start + 1 : end], quoted)
        if text.startswith("{", start):
            end = self._find("}", start)
            name, operator, default = text[start + 1 : end].partition(":-")
            if not (name.isidentifier() or name.isdigit() or name in "?#@*$"):
                raise SyntaxRefused(f"${{{name}}} is not supported")
            self.at = end + 1
            return Part("variable", name, quoted, default if operator else None)
        end = start
        if text[start : start + 1] in tuple("?#@*$0123456789"):
            end = start + 1
        else:
            while end < len(text) and (text[end].isalnum() or text[end] == "_"):
                end += 1
        self.at = end
        return Part("variable", text[start:end], quoted) if end > start else Part("text", "$", quoted)

    def _closing(self, opening: int) -> int:
        """Where the parenthesis that opens at `opening` closes; quotes hide parentheses."""
        depth, quote, at = 0, "", opening
        while at < len(self.text):
            char = self.text[at]
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if not depth:
                    return at
            at += 1
        raise SyntaxRefused("unterminated $(")

    def _find(self, what: str, start: int) -> int:
        found = self.text.find(what, start)
        if found < 0:
            raise SyntaxRefused(f"unterminated {what}")
        return found

    def _expect(self, char: str) -> None:
        if self.at >= len(self.text):
            raise SyntaxRefused(f"unterminated {char}")
        self.at += 1
