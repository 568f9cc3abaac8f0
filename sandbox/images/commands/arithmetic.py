"""`$((...))`: whole numbers with + - * / % and parentheses."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from sandbox.images.commands.tree import SyntaxRefused

_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def evaluate(text: str, variables: Mapping[str, str]) -> int:
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
        raise SyntaxRefused(f"arithmetic not supported: {text}") from error
