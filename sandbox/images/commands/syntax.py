"""The shell's language, as far as tutorials type it: lists, pipes, loops, conditions, redirections, expansions.

`parse` turns text into the tree that `shell` runs. What is not here (functions, here-documents, background jobs,
`case`, globs) is refused with a message that names it.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.images.commands.lexer import REFUSED, Lexer, Token
from sandbox.images.commands.tree import (
    AndOr,
    Command,
    For,
    Group,
    If,
    Loop,
    Node,
    Part,
    Pipeline,
    Redirection,
    Sequence,
    SyntaxRefused,
)


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens, self.at = Lexer(text).tokens(), 0

    def peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else Token("end")

    def next(self) -> Token:
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

    def refuse(self, token: Token) -> None:
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
        if word in REFUSED:
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
