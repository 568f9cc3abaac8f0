"""Values that manifests take from elsewhere than the settings: a lab's options, or what a cluster says.

A manifest names one as `${delay}`. Options are known at once; what has to be observed may not be known yet, while
what it comes from is still to be made: a plan then goes on with its placeholder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from workshop.runbook.options import Option

if TYPE_CHECKING:
    from workshop.runbook.run import Run


class Observed(Protocol):
    """Something to observe. Raises WorkshopError for as long as it is not there."""

    @property
    def names(self) -> tuple[str, ...]:
        """As manifests name what it gives."""
        ...

    async def values(self, run: Run) -> Mapping[str, str]: ...

    def commands(self, run: Run) -> tuple[str, ...]:
        """What a person types to set the variables that stand for it (see `variable`)."""
        ...


Value = Option | Observed


async def known(values: tuple[Value, ...], run: Run, *, strict: bool = False) -> dict[str, str]:
    """By name; with placeholders for what is not there yet, or with `strict` its WorkshopError."""
    from workshop.runbook.errors import WorkshopError

    found = shown(values, run)
    for value in values:
        if not isinstance(value, Option):
            try:
                found |= await value.values(run)
            except WorkshopError:
                if strict:
                    raise
    return found


def shown(values: tuple[Value, ...], run: Run) -> dict[str, str]:
    """As a person is shown them, with placeholders for what would have to be observed."""
    found: dict[str, str] = {}
    for value in values:
        if isinstance(value, Option):
            found[value.name] = value.text(run.options)
        else:
            found |= {name: f"${variable(name)}" for name in value.names}
    return found


def variable(name: str) -> str:
    """The shell's, which stands for what is to be observed."""
    return name.upper().replace("-", "_")


def variables(values: tuple[Value, ...]) -> tuple[str, ...]:
    return tuple(variable(name) for value in values if not isinstance(value, Option) for name in value.names)


def setting(values: tuple[Value, ...], run: Run) -> tuple[str, ...]:
    """The commands that set the variables."""
    return tuple(command for value in values if not isinstance(value, Option) for command in value.commands(run))
