"""`dataclass`, as the standard library's, but made when it has to be.

`invoke --list` and the shell's completion import every lab, and with the labs the modules that they are declared
with: 45 dataclasses, of which half have no instance there and no other is more than looked at. To make one Python
writes its methods as text and compiles each, 0.3 to 0.5 ms for a class, which was half of what the workshop added
to an empty `invoke --list`.

So a class is only noted here. Instances get their fields without the methods, and whatever else is asked for (to
compare, to hash, to show, to `replace`, a subclass that is a dataclass, arguments that do not fit) makes the class
first: it is the standard library's own then, with its own words for what is wrong. Slots are left out, as they
would make another class than the one that others have imported.

For modules that `--list` imports; anywhere else `dataclasses` does the same without a detour.
"""

from __future__ import annotations

import dataclasses
import inspect
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, slots: bool = False, **asked: Any) -> Callable[[type], type]:
        def declared(cls: type) -> type:
            _PENDING[cls] = asked, _simple_fields(cls) if asked.keys() <= {"frozen"} else None
            for name, standing_in in _STANDING_IN.items():
                if name not in cls.__dict__:
                    setattr(cls, name, standing_in)
            return cls

        return declared


Fields = dict[str, "dataclasses.Field[Any]"]
"""All fields of a class, in order."""

_PENDING: dict[type, tuple[dict[str, Any], Fields | None]] = {}
"""What was asked for, and the fields; None where one is more than an argument with perhaps a default."""

_MAKING = threading.RLock()


def _simple_fields(cls: type) -> Fields | None:
    fields: Fields = {}
    for base in reversed(cls.__mro__):
        if base in _PENDING:
            inherited = _PENDING[base][1]
            if inherited is None:
                return None
            fields |= inherited
        elif "__dataclass_fields__" in base.__dict__:
            return None
    for name, annotation in inspect.get_annotations(cls).items():
        default = cls.__dict__.get(name, dataclasses.MISSING)
        field = default if isinstance(default, dataclasses.Field) else dataclasses.field(default=default)
        if not field.init or any(special in str(annotation) for special in _SPECIAL):
            return None
        fields[name] = field
    return fields


_SPECIAL = ("ClassVar", "InitVar", "KW_ONLY")


def _make(cls: type) -> None:
    """All of it that is pending, the bases first: a class is made of what they have."""
    with _MAKING:
        for each in reversed(cls.__mro__):
            if pending := _PENDING.pop(each, None):
                for name, standing_in in _STANDING_IN.items():
                    if each.__dict__.get(name) is standing_in:
                        delattr(each, name)
                dataclasses.dataclass(**pending[0])(each)


def _init(self: object, /, *args: Any, **given: Any) -> None:
    cls = type(self)
    pending = _PENDING.get(cls)
    if pending is None or not _filled(self, pending[1], args, given):
        _make(cls)
        cls.__init__(self, *args, **given)


def _filled(self: object, fields: Fields | None, args: tuple[Any, ...], given: dict[str, Any]) -> bool:
    """Whether the arguments fit, and the fields have their values now."""
    if fields is None or not given.keys() <= fields.keys():
        return False
    values = dict(zip((name for name, field in fields.items() if field.kw_only is not True), args, strict=False))
    if len(values) < len(args) or not values.keys().isdisjoint(given):
        return False
    values |= given
    for name, field in fields.items():
        value = values[name] if name in values else _default(field)
        if value is dataclasses.MISSING:
            return False
        object.__setattr__(self, name, value)
    if after := getattr(self, "__post_init__", None):
        after()
    return True


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _method(name: str) -> Callable[..., Any]:
    def standing_in(self: object, *args: Any) -> Any:
        _make(type(self))
        return getattr(type(self), name)(self, *args)

    return standing_in


class _OfClass:
    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, cls: type) -> Any:
        _make(cls)
        return getattr(cls, self._name)


class _Signature:
    """For `help` and editors. Who has asked once may ask again."""

    def __get__(self, instance: object, cls: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        _make(cls)
        signature = inspect.signature(cls)
        cls.__signature__ = signature  # type: ignore[attr-defined]
        return signature


_STANDING_IN: dict[str, Any] = {
    "__init__": _init,
    "__signature__": _Signature(),
    **{name: _OfClass(name) for name in ("__dataclass_fields__", "__match_args__")},
    **{name: _method(name) for name in ("__eq__", "__hash__", "__repr__", "__setattr__", "__delattr__")},
}
"""Until it is made."""
