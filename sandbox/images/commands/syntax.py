"""The shell's language, as far as tutorials type it: lists, pipes, loops, conditions, redirections, expansions.

`parse` turns a script's text first into words and operators, with quotes and expansions taken apart, and then into
the tree that the shell runs. What is not here (functions, here-documents, background jobs, `case`, globs) is
refused with a message that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


class SyntaxRefused(Exception):
    """The text is no shell, or more of one than there is here."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word. `text` is a literal, a variable's name, a command or an arithmetic expression."""

    kind: Literal["text", "variable", "command", "arithmetic"]
    text: str
    quoted: bool
    default: str | None = None
    """For `${NAME:-default}`."""


Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirection:
    descriptor: int
    operator: str
    """`<`, `>`, `>>` or `>&` (then the word is a descriptor)."""
    target: Word


@dataclass(slots=True)
class Command:
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    commands: list[Node]
    negated: bool = False


@dataclass(slots=True)
class AndOr:
    first: Pipeline
    rest: list[tuple[str, Pipeline]]


@dataclass(slots=True)
class Sequence:
    items: list[AndOr]


@dataclass(slots=True)
class If:
    branches: list[tuple[Sequence, Sequence]]
    otherwise: Sequence | None


@dataclass(slots=True)
class Loop:
    condition: Sequence
    body: Sequence
    until: bool


@dataclass(slots=True)
class For:
    name: str
    words: list[Word]
    body: Sequence


@dataclass(slots=True)
class Group:
    """A compound command: `{ ...; }`, `( ... )`, or one of those above, with its redirections."""

    body: Sequence | If | Loop | For
    redirections: list[Redirection]
    subshell: bool = False


Node = Command | Group


_OPERATORS = ("&&", "||", ">>", ">&", ";", "|", "&", "(", ")", "<", ">", "\n")
_RESERVED = {"if", "then", "elif", "else", "fi", "for", "in", "do", "done", "while", "until", "{", "}", "!"}
_REFUSED = {"case", "function", "select", "[["}


@dataclass(frozen=True, slots=True)
class _Token:
    operator: str = ""
    word: Word = ()
    descriptor: int | None = None
    """The number glued before `<` or `>`."""

    def reserved(self) -> str:
        """The reserved word this is, or ""."""
        if len(self.word) == 1 and not self.word[0].quoted and self.word[0].kind == "text":
            text = self.word[0].text
            return text if text in _RESERVED or text in _REFUSED else ""
        return ""


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def tokens(self) -> list[_Token]:
        found: list[_Token] = []
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
                found.append(_Token(operator))
            else:
                found.append(self._word_or_descriptor())
        return found

    def _word_or_descriptor(self) -> _Token:
        after = self.text[self.at + 1 : self.at + 2]
        if self.text[self.at] in "012" and after in ("<", ">"):
            descriptor = int(self.text[self.at])
            self.at += 1
            operator = next(op for op in (">>", ">&", "<", ">") if self.text.startswith(op, self.at))
            self.at += len(operator)
            return _Token(operator, descriptor=descriptor)
        return _Token(word=self._word())

    def _word(self) -> Word:
        parts: list[Part] = []
        while self.at < len(self.text) and self.text[self.at] not in " \t\r\n;|&()<>":
            char = self.text[self.at]
            if char == "'":
                end = self._index_of("'", self.at + 1)
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
            end = self._index_of("`", self.at + 1)
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
            end = self._index_of("}", start)
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

    def _index_of(self, what: str, start: int) -> int:
        found = self.text.find(what, start)
        if found < 0:
            raise SyntaxRefused(f"unterminated {what}")
        return found

    def _expect(self, char: str) -> None:
        if self.at >= len(self.text):
            raise SyntaxRefused(f"unterminated {char}")
        self.at += 1


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens, self.at = _Lexer(text).tokens(), 0

    def peek(self) -> _Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else _Token("end")

    def next(self) -> _Token:
        token = self.peek()
        self.at += 1
        return token

    def sequence(self, *ends: str) -> Sequence:
        items: list[AndOr] = []
        while True:
            while self.peek().operator in (";", "\n"):
                self.at += 1
            token = self.peek()
            if token.operator == "end" or token.operator in ends or (token.reserved() and token.reserved() in ends):
                return Sequence(items)
            items.append(self.and_or())
            if self.peek().operator == "&":
                raise SyntaxRefused("background jobs (&) are not supported")
            if self.peek().operator not in (";", "\n", "end", *ends):
                self.refuse(self.peek())

    def refuse(self, token: _Token) -> None:
        shown = token.operator or "".join(part.text for part in token.word)
        raise SyntaxRefused("unexpected end of file" if shown == "end" else f"unexpected {shown!r}")

    def and_or(self) -> AndOr:
        first, rest = self.pipeline(), []
        while (operator := self.peek().operator) in ("&&", "||"):
            self.at += 1
            self.newlines()
            rest.append((operator, self.pipeline()))
        return AndOr(first, rest)

    def newlines(self) -> None:
        while self.peek().operator == "\n":
            self.at += 1

    def pipeline(self) -> Pipeline:
        negated = self.peek().reserved() == "!"
        self.at += negated
        commands = [self.command()]
        while self.peek().operator == "|":
            self.at += 1
            self.newlines()
            commands.append(self.command())
        return Pipeline(commands, negated)

    def command(self) -> Node:
        token = self.peek()
        if token.operator == "(":
            self.at += 1
            body = self.sequence(")")
            self.operator(")")
            return Group(body, self.redirections(), subshell=True)
        compound: dict[str, Callable[[], Sequence | If | Loop | For]] = {
            "if": self.if_,
            "for": self.for_,
            "while": self.loop,
            "until": self.loop,
            "{": self.braces,
        }
        word = token.reserved()
        if word in compound:
            return Group(compound[word](), self.redirections())
        if word in _REFUSED:
            raise SyntaxRefused(f"{word} is not supported")
        return self.simple()

    def simple(self) -> Command:
        command = Command()
        while True:
            token = self.peek()
            if token.operator in ("<", ">", ">>", ">&"):
                command.redirections += self.redirections()
            elif token.word:
                self.at += 1
                name, equals, rest = token.word[0].text.partition("=")
                assigns = equals and not token.word[0].quoted and token.word[0].kind == "text"
                if assigns and not command.words and name.isidentifier():
                    command.assignments.append((name, (Part("text", rest, False), *token.word[1:])))
                else:
                    command.words.append(token.word)
            else:
                break
        if self.peek().operator == "(" and command.words:
            raise SyntaxRefused("functions are not supported")
        if not (command.words or command.assignments or command.redirections):
            self.refuse(self.peek())
        return command

    def redirections(self) -> list[Redirection]:
        found = []
        while (token := self.peek()).operator in ("<", ">", ">>", ">&"):
            self.at += 1
            target = self.next()
            if not target.word:
                self.refuse(target)
            default = 0 if token.operator == "<" else 1
            found.append(
                Redirection(default if token.descriptor is None else token.descriptor, token.operator, target.word)
            )
        return found

    def keyword(self, *words: str) -> str:
        self.newlines()
        token = self.next()
        if token.reserved() not in words:
            self.refuse(token)
        return token.reserved()

    def operator(self, operator: str) -> None:
        token = self.next()
        if token.operator != operator:
            self.refuse(token)

    def braces(self) -> Sequence:
        self.at += 1
        body = self.sequence("}")
        self.keyword("}")
        return body

    def if_(self) -> If:
        branches, otherwise = [], None
        word = self.keyword("if")
        while word in ("if", "elif"):
            condition = self.sequence("then")
            self.keyword("then")
            branches.append((condition, self.sequence("elif", "else", "fi")))
            word = self.keyword("elif", "else", "fi")
        if word == "else":
            otherwise = self.sequence("fi")
            self.keyword("fi")
        return If(branches, otherwise)

    def loop(self) -> Loop:
        word = self.keyword("while", "until")
        condition = self.sequence("do")
        return Loop(condition, self.body(), word == "until")

    def for_(self) -> For:
        self.at += 1
        name = "".join(part.text for part in self.next().word)
        self.keyword("in")
        words = []
        while self.peek().word:
            words.append(self.next().word)
        if self.peek().operator not in (";", "\n"):
            self.refuse(self.peek())
        self.at += 1
        return For(name, words, self.body())

    def body(self) -> Sequence:
        self.keyword("do")
        body = self.sequence("done")
        self.keyword("done")
        return body


def parse(text: str) -> Sequence:
    """Raises SyntaxRefused."""
    parser = _Parser(text)
    tree = parser.sequence()
    if parser.peek().operator != "end":
        parser.refuse(parser.peek())
    return tree
