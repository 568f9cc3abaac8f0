"""Is what is wanted contained in what is there? The difference, field by field.

Kubernetes adds to what was applied: defaults, status, labels of controllers, containers of injectors. So a live
object may hold more than the manifest says, and lists are matched as server-side apply merges them: by name, port
or mount path where Kubernetes does, else by position and length.

Istio's configuration is another matter: its server adds nothing to a spec, and there a field more (a `fault`, a
destination) is a change in behaviour that somebody made. For its kinds the spec has to be equal, and what is too
much is a difference as well (wanted ABSENT). The destinations of a route are told apart by their subset, so that
a changed split reads as one: their order means nothing. What somebody has put behind all that is wanted of such a
list (a route that is only reached by what no wanted one matches, one more subset or server) changes nothing of it:
as long as it is all that differs, it is no difference, and `appended` names it.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from workshop.runbook.results import ABSENT, Difference

Object = dict[str, Any]

EXACT_GROUPS = ("networking.istio.io", "security.istio.io")

_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
}
_PORT_FIELDS = frozenset({"port", "targetPort", "containerPort", "nodePort", "number"})
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


_APPENDED = re.compile(r"spec\.(http|tcp|tls|subsets|servers)\[\d+\]")


def differences(subject: str, wanted: Object, live: Object | None) -> tuple[Difference, ...]:
    """What of `wanted` is not in `live`; `subject` names the object."""
    if live is None:
        return (Difference(subject, "", "present", ABSENT),)
    found = _compared(subject, wanted, live)
    return () if all(map(_is_appended, found)) else found


def appended(subject: str, wanted: Object, live: Object) -> tuple[Difference, ...]:
    """What `live` has behind all that is wanted, where nothing else differs: applying `wanted` would remove it."""
    found = _compared(subject, wanted, live)
    return found if all(map(_is_appended, found)) else ()


def _is_appended(difference: Difference) -> bool:
    return difference.wanted is ABSENT and bool(_APPENDED.fullmatch(difference.path))


def _compared(subject: str, wanted: Object, live: Object) -> tuple[Difference, ...]:
    group = wanted["apiVersion"].rpartition("/")[0]
    found: list[Difference] = []
    for key, value in wanted.items():
        if key not in ("apiVersion", "kind", "status"):
            exact = key == "spec" and group in EXACT_GROUPS
            _Comparison(subject, found, exact).value(key, value, live.get(key, ABSENT))
    return tuple(found)


class _Comparison:
    def __init__(self, subject: str, found: list[Difference], exact: bool) -> None:
        self.subject, self.found, self.exact = subject, found, exact

    def value(self, path: str, wanted: Any, live: Any) -> None:
        if isinstance(wanted, dict) and isinstance(live, dict):
            self._mapping(path, wanted, live)
        elif isinstance(wanted, list) and isinstance(live, list):
            self._list(path, wanted, live)
        elif not _same(path, wanted, live):
            self.found.append(Difference(self.subject, path, wanted, live))

    def _mapping(self, path: str, wanted: Object, live: Object) -> None:
        for key, value in wanted.items():
            self.value(child(path, key), value, live.get(key, ABSENT))
        if self.exact:
            for key in live.keys() - wanted.keys():
                self.found.append(Difference(self.subject, child(path, key), ABSENT, live[key]))

    def _list(self, path: str, wanted: list[Any], live: list[Any]) -> None:
        if self.exact:
            there, desired = _by_subset(live), _by_subset(wanted)
            if there is None or desired is None or not path.endswith(".route"):
                self._positions(path, wanted, live)
                return
            for subset in dict.fromkeys((*desired, *there)):
                self.value(f"{path}[{subset}]", desired.get(subset, ABSENT), there.get(subset, ABSENT))
            return
        keys = _list_keys(path, wanted)
        if keys is None:
            self._positions(path, wanted, live)
            return
        found = {_identity(item, keys): item for item in live if isinstance(item, dict)}
        for item in wanted:
            identity = _identity(item, keys)
            self.value(f"{path}[{identity[0]}]", item, found.get(identity, ABSENT))

    def _positions(self, path: str, wanted: list[Any], live: list[Any]) -> None:
        for index in range(max(len(wanted), len(live))):
            self.value(f"{path}[{index}]", _at(wanted, index), _at(live, index))


def _by_subset(route: list[Any]) -> dict[str, Any] | None:
    """The destinations of a route by their subset, None when that does not tell them apart."""
    try:
        found = {entry["destination"]["subset"]: entry for entry in route}
    except (KeyError, TypeError):
        return None
    return found if len(found) == len(route) else None


def by_key(path: str, items: list[Any]) -> dict[tuple[str, ...], Object]:
    """The items of a list that is merged by a key, by that one; none where it is not."""
    keys = _list_keys(path, items)
    return {_identity(item, keys): item for item in items} if keys else {}


def _list_keys(path: str, wanted: list[Any]) -> tuple[str, ...] | None:
    if not all(isinstance(item, dict) for item in wanted):
        return None
    name = path.rpartition(".")[2]
    if name == "ports":
        first = "containerPort" if any("containerPort" in item for item in wanted) else "port"
        return (first, "protocol")
    return _KEYS.get(name)


def _identity(item: Object, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(item.get(key, "TCP" if key == "protocol" else "")) for key in keys)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else ABSENT


def child(path: str, key: str) -> str:
    """A field's path as differences name it."""
    return f"{path}[{key}]" if "." in key or "/" in key else f"{path}.{key}"


def _same(path: str, wanted: Any, live: Any) -> bool:
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return True
    if wanted in (None, {}, []) and live is ABSENT:
        return True  # the API drops what is empty
    if path.rpartition(".")[2] in _PORT_FIELDS:
        return str(wanted) == str(live)
    if ".resources." in path:
        quantity = _quantity(wanted)
        return quantity is not None and quantity == _quantity(live)
    return False


def _quantity(value: Any) -> Decimal | None:
    """A Kubernetes quantity ("100m", 0.1, "64Mi", "1e3") as a number."""
    if not isinstance(value, str | int | float):
        return None
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    try:
        return Decimal(number) * _SUFFIXES[text[len(number) :]]
    except (ArithmeticError, KeyError):
        return None
