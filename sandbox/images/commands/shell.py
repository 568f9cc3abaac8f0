"""`sh`: runs the trees of `syntax` with the commands there are."""

from __future__ import annotations

import ast
import asyncio
import operator
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sandbox.images.commands import syntax
from sandbox.images.commands.process import Process

Execute = Callable[[list[str], Process], Awaitable[int]]
"""Runs one command that is not built in."""


INTERRUPT_LINE = b"\x03\n"
"""Read by an interactive shell: forget what was typed so far."""


# From the words of a script to the words a command is called with.

_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _evaluate(text: str, variables: Mapping[str, str]) -> int:
    """Raises SyntaxRefused."""

    def value(node: ast.AST) -> int:
        match node:
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id=name):
                return int(variables.get(name) or 0)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _BINARY[type(op)](value(left), value(right))
        raise ValueError(text)

    try:
        return value(ast.parse(text.strip().replace("$", "").replace("/", "//"), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError) as error:
        raise syntax.SyntaxRefused(f"arithmetic not supported: {text}") from error


@dataclass(slots=True)
class _Expansion:
    """What words mean at one moment in one shell. `output` runs a script and gives what it wrote."""

    variables: Mapping[str, str]
    arguments: Sequence[str]
    status: int
    output: Callable[[str], Awaitable[str]]

    async def fields(self, word: syntax.Word) -> list[str]:
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

    async def joined(self, word: syntax.Word) -> str:
        """A word where nothing is split: the value of an assignment."""
        return "".join([await self.text(part) for part in word])

    async def text(self, part: syntax.Part) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "arithmetic":
            return str(_evaluate(part.text, self.variables))
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


# The shell itself.


class _Exit(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Shell:
    """One shell: its variables, directory and last status. `process` is the shell's own.

    One that `exits_on_error` (`sh -e`) ends with the first command that fails and that nobody asks about.
    """

    def __init__(
        self, process: Process, execute: Execute, arguments: list[str], *, exits_on_error: bool = False
    ) -> None:
        self.process = process
        self.variables = dict(process.env)
        self.arguments = arguments
        self.status = 0
        self._exported = set(process.env)
        self._execute = execute
        self._exits_on_error = exits_on_error

    async def run_text(self, text: str) -> int:
        """The status of the last command; `exit` included."""
        try:
            await self._sequence(syntax.parse(text), self.process)
        except syntax.SyntaxRefused as refusal:
            self.status = self.process.complain(f"syntax error: {refusal}", 2)
        except _Exit as end:
            self.status = end.status
        except (_Break, _Continue):
            pass
        return self.status

    async def interact(self) -> int:
        """Read commands line by line, with a prompt on a terminal. Incomplete ones are continued."""
        pending = ""
        while True:
            if self.process.tty:
                self.process.out(b"> " if pending else f"{self.process.directory} $ ".encode())
            line = await self.process.stdin.readline()
            if not line:
                return self.status
            if line == INTERRUPT_LINE:
                pending = ""
                continue
            pending += line.decode(errors="replace")
            try:
                parsed = syntax.parse(pending)
            except syntax.SyntaxRefused as refusal:
                if "unterminated" in str(refusal) or "end of file" in str(refusal):
                    continue
                pending = ""
                self.status = self.process.complain(f"syntax error: {refusal}", 2)
                continue
            pending = ""
            try:
                await self._sequence(parsed, self.process)
            except syntax.SyntaxRefused as refusal:
                self.status = self.process.complain(f"syntax error: {refusal}", 2)
            except _Exit as end:
                return end.status
            except (_Break, _Continue):
                pass

    async def _sequence(self, sequence: syntax.Sequence, process: Process) -> int:
        for item in sequence.items:
            self.status = await self._pipeline(item.first, process, asked=bool(item.rest))
            for word, pipeline in item.rest:
                if (self.status == 0) == (word == "&&"):
                    asked = pipeline is not item.rest[-1][1]
                    self.status = await self._pipeline(pipeline, process, asked=asked)
            await asyncio.sleep(0)  # a loop of built-ins must not keep everybody else waiting
        return self.status

    async def _pipeline(self, pipeline: syntax.Pipeline, process: Process, *, asked: bool) -> int:
        """`asked`: whether its status decides what comes next."""
        *feeders, last = pipeline.commands
        with self._asking(asked or pipeline.negated):
            if not feeders:
                status = await self._node(last, process)
            else:
                status = await self._piped(feeders, last, process)
            # What fails in braces, a branch or a loop has ended the shell already, or somebody asked about it.
            ends = feeders or isinstance(last, syntax.Command) or last.subshell
            if status and ends and self._exits_on_error:
                raise _Exit(status)
        return int(not status) if pipeline.negated else status

    @contextmanager
    def _asking(self, asked: bool = True) -> Iterator[None]:
        """While somebody asks about a status, nothing that fails ends the shell."""
        before, self._exits_on_error = self._exits_on_error, self._exits_on_error and not asked
        try:
            yield
        finally:
            self._exits_on_error = before

    async def _holds(self, condition: syntax.Sequence, process: Process) -> bool:
        with self._asking():
            return await self._sequence(condition, process) == 0

    async def _piped(self, feeders: list[syntax.Node], last: syntax.Node, process: Process) -> int:
        tasks: list[asyncio.Task[int]] = []
        stdin = process.stdin
        for node in feeders:
            pipe = asyncio.StreamReader(limit=2**24)
            part = replace(process, stdin=stdin, out=pipe.feed_data)
            tasks.append(asyncio.create_task(self._feeding(node, part, pipe)))
            stdin = pipe
        try:
            return await self._subshell(last, replace(process, stdin=stdin))
        finally:
            for task in tasks:
                task.cancel()  # as SIGPIPE: nobody reads any more
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feeding(self, node: syntax.Node, process: Process, pipe: asyncio.StreamReader) -> int:
        try:
            return await self._subshell(node, process)
        except syntax.SyntaxRefused as refusal:
            return self.process.complain(f"syntax error: {refusal}", 2)
        finally:
            pipe.feed_eof()

    async def _subshell(self, node: syntax.Node | syntax.Sequence, process: Process) -> int:
        child = Shell(process, self._execute, self.arguments, exits_on_error=self._exits_on_error)
        child.variables, child._exported, child.status = dict(self.variables), set(self._exported), self.status
        try:
            if isinstance(node, syntax.Sequence):
                return await child._sequence(node, process)
            return await child._node(node, process)
        except _Exit as end:
            return end.status

    async def _node(self, node: syntax.Node, process: Process) -> int:
        try:
            process = await self._redirected(node.redirections, process)
        except OSError as error:
            return process.complain(f"can't open {error.filename}: {error.strerror}")
        if isinstance(node, syntax.Command):
            return await self._command(node, process)
        if node.subshell:
            assert isinstance(node.body, syntax.Sequence)
            return await self._subshell(node.body, process)
        return await self._compound(node.body, process)

    async def _compound(self, body: object, process: Process) -> int:
        if isinstance(body, syntax.If):
            for condition, then in body.branches:
                if await self._holds(condition, process):
                    return await self._sequence(then, process)
            return await self._sequence(body.otherwise, process) if body.otherwise else 0
        if isinstance(body, syntax.Loop):
            while await self._holds(body.condition, process) != body.until:
                if not await self._goes_on(body.body, process):
                    break
            return 0
        if isinstance(body, syntax.For):
            for value in [field for word in body.words for field in await self._expansion(process).fields(word)]:
                self.variables[body.name] = value
                if not await self._goes_on(body.body, process):
                    break
            return self.status
        assert isinstance(body, syntax.Sequence)
        return await self._sequence(body, process)

    async def _goes_on(self, body: syntax.Sequence, process: Process) -> bool:
        """Run a loop's body once; whether the loop goes on after it."""
        try:
            await self._sequence(body, process)
        except _Continue:
            pass
        except _Break:
            return False
        return True

    async def _redirected(self, redirections: list[syntax.Redirection], process: Process) -> Process:
        for one in redirections:
            target = "".join(await self._expansion(process).fields(one.target))
            if one.operator == "<":
                stdin = asyncio.StreamReader()
                stdin.feed_data(await process.input(target))
                stdin.feed_eof()
                process = replace(process, stdin=stdin)
                continue
            if one.operator == ">&":
                write = process.out if target == "1" else process.err
            else:
                write = self._writer(process, process.path(target), one.operator == ">>")
            process = replace(process, err=write) if one.descriptor == 2 else replace(process, out=write)
        return process

    def _writer(self, process: Process, path: str, append: bool) -> Callable[[bytes], None]:
        files = process.container.files
        files.write(path, b"", append=append)
        return lambda data: files.write(path, data, append=True)

    async def _command(self, command: syntax.Command, process: Process) -> int:
        assigned = {name: await self._expansion(process).joined(word) for name, word in command.assignments}
        words = [field for word in command.words for field in await self._expansion(process).fields(word)]
        if not words:
            self.variables |= assigned
            called = any(part.kind == "command" for _, word in command.assignments for part in word)
            return self.status if called else 0
        name, *arguments = words
        builtin = getattr(self, f"_do_{name}", None) if name.isidentifier() else None
        if builtin is not None:
            return int(await builtin(replace(process, name=name, arguments=arguments)))
        env = {key: value for key, value in self.variables.items() if key in self._exported} | assigned
        return await self._execute(words, replace(process, env=env, directory=self.process.directory))

    def _expansion(self, process: Process) -> _Expansion:
        async def output(script: str) -> str:
            written = bytearray()
            self.status = await self._subshell(syntax.parse(script), replace(process, out=written.extend))
            return written.decode(errors="replace")

        return _Expansion(self.variables, self.arguments, self.status, output)

    # Built-in commands: those that change the shell itself.

    async def _do_exit(self, process: Process) -> int:
        word = (process.arguments or [str(self.status)])[0]
        if not word.isdecimal():
            process.complain(f"Illegal number: {word}")
            raise _Exit(2)
        raise _Exit(int(word) & 255)

    async def _do_break(self, process: Process) -> int:
        _refuse(process, process.arguments)
        raise _Break

    async def _do_continue(self, process: Process) -> int:
        _refuse(process, process.arguments)
        raise _Continue

    async def _do_cd(self, process: Process) -> int:
        target = process.path((process.arguments or ["/"])[0])
        if not process.container.files.is_directory(target):
            return process.complain(f"can't cd to {target}: No such file or directory")
        self.process.directory = process.directory = target
        return 0

    async def _do_export(self, process: Process) -> int:
        _refuse(process, _options(process))
        for argument in process.arguments:
            name, equals, value = argument.partition("=")
            if equals:
                self.variables[name] = value
            self._exported.add(name)
        return 0

    async def _do_unset(self, process: Process) -> int:
        _refuse(process, _options(process))
        for name in process.arguments:
            self.variables.pop(name, None)
        return 0

    async def _do_read(self, process: Process) -> int:
        _refuse(process, [option for option in _options(process) if option != "-r"])
        line = (await process.stdin.readline()).decode(errors="replace")
        names = [name for name in process.arguments if name != "-r"] or ["REPLY"]
        values = line.rstrip("\n").split(None, len(names) - 1)
        self.variables |= dict(zip(names, [*values, *[""] * len(names)], strict=False))
        return 0 if line else 1


def _options(process: Process) -> list[str]:
    return [word for word in process.arguments if word.startswith("-")]


def _refuse(process: Process, words: Sequence[str]) -> None:
    """Raises SyntaxRefused for the first of what a built-in command does not do."""
    if words:
        raise syntax.SyntaxRefused(f"{process.name} {words[0]} is not supported")
