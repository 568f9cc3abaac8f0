"""Who is in a class, and where each one's cluster is: a file that an instructor writes, as YAML or as CSV.

It is read whole before anything is done for anybody: a member that cannot be right is refused with its line.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from workshop.runbook.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?")
"""What folders, resource groups and clusters can all be called: 40 letters, digits and dashes."""

_SHORT = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")
_LARGEST = 1_000_000
"""Bytes: 1,000 members take a tenth of it."""

EXAMPLE = "members: [ada, ben]"
_CSV_EXAMPLE = r"name\nada\nben\n"


@dataclass(frozen=True, slots=True)
class Member:
    """One attendee. `profile` is a file of settings over the call's. With a `context` (in `kubeconfig`, or in the
    call's where that is empty) the cluster is one that is there. `cluster` is what the member's AKS cluster is
    called. `line` is where the roster has it."""

    name: str
    profile: str = ""
    context: str = ""
    kubeconfig: str = ""
    cluster: str = ""
    line: int = 0


_KEYS = tuple(field.name for field in fields(Member) if field.name != "line")


@dataclass(frozen=True, slots=True)
class Roster:
    """`members` in the order of the file, one at least."""

    file: Path
    members: tuple[Member, ...]

    def named(self, member: Member) -> str:
        """The place of a member, for errors."""
        return f"{self.file}, line {member.line}"


def read_roster(file: Path) -> Roster:
    """Raises UsageError, with the line, for what is no roster."""
    try:
        there = file.stat()
        if not (stat.S_ISREG(there.st_mode) or stat.S_ISDIR(there.st_mode)):
            raise _unread(file, "it is no file that can be read twice", cause="a pipe or a device may never end")
        if there.st_size > _LARGEST:
            raise _unread(file, "it is larger than 1 MB: no class is")
        text = file.read_text(encoding="utf-8-sig")  # spreadsheets write a mark in front
    except FileNotFoundError:
        raise UsageError(
            f"read the roster {file}",
            "there is no such file",
            cause="a class needs a list of its members",
            next_command=f"printf '{_CSV_EXAMPLE}' > {file}" if _is_csv(file) else f"echo '{EXAMPLE}' > {file}",
        ) from None
    except OSError as error:
        raise _unread(file, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unread(
            file,
            f"byte {error.start + 1} of it is not text in UTF-8",
            cause="spreadsheets write it where one saves as CSV UTF-8" if _is_csv(file) else "",
        ) from error
    rows = _csv_rows(file, text) if _is_csv(file) else _yaml_rows(file, text)
    roster = Roster(file, tuple(_member(file, line, row) for line, row in rows))
    if not roster.members:
        if _is_csv(file):
            raise _unread(file, "nobody is in it", cause="below the names of the columns it has a line a member")
        raise _unread(file, "nobody is in it", EXAMPLE)
    _refuse_doubles(roster)
    return roster


def _is_csv(file: Path) -> bool:
    return file.suffix.lower() == ".csv"


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """With the names of the columns in the first line; commas, semicolons or tabs between them."""
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        reader.fieldnames = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        if twice := [name for name, count in Counter(filter(None, reader.fieldnames)).items() if count > 1]:
            raise _unread(file, f"it has two columns {twice[0]!r}", line=1)
        for row in reader:
            if None in row:
                raise _unread(file, "it has more columns than the first line names", line=reader.line_num)
            values = {key: (value or "").strip() for key, value in row.items() if key}
            if any(values.values()):
                yield reader.line_num, {key: value for key, value in values.items() if value or key not in _KEYS}
    except csv.Error as error:
        raise _unread(file, str(error), line=reader.line_num) from error


def _yaml_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import yaml

    from workshop.settings import broken_yaml, refuse_excess

    refuse_excess(file)
    try:
        content = yaml.load(text, yaml.CSafeLoader)
        node: Any = yaml.compose(text, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise broken_yaml(str(file), error) from error
    if not isinstance(content, dict) or not isinstance(content.get("members"), list):
        raise _unread(file, "it has no list of members", EXAMPLE)
    if others := [str(key) for key in content if key != "members"]:
        raise _unread(file, f"it has {others[0]}, and a roster has members only", EXAMPLE)
    items, *more = (value for key, value in node.value if key.value == "members")
    if more:
        raise _unread(file, "it has members twice", EXAMPLE, line=more[0].start_mark.line + 1)
    for item, value in zip(items.value, content["members"], strict=True):
        yield item.start_mark.line + 1, value if isinstance(value, dict) else {"name": value}


def _member(file: Path, line: int, row: Mapping[Any, Any]) -> Member:
    for key, value in row.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"a member has {', '.join(_KEYS)}"
            raise _unread(file, f"a member has no {key!r}", cause=hint, line=line)
        if not isinstance(value, str | None):
            raise _unread(
                file,
                f"{key} is {value!r}; it has to be text",
                cause="without quotes, YAML reads it as a number, a date, true or false: write it in quotes",
                line=line,
            )
    given = {key: (value or "").strip() for key, value in row.items()}
    member = Member(**{"name": "", **given}, line=line)
    if not _NAME.fullmatch(member.name):
        raise _unread(
            file,
            f"the name {member.name!r} is none" if member.name else "a member has no name",
            cause="it has up to 40 letters (a to z), digits and dashes: folders and resource groups are called so",
            line=line,
        )
    if member.kubeconfig and not member.context:
        raise _unread(
            file,
            f"{member.name} has a kubeconfig and no context",
            cause="its current context may be changed by anybody: name the one that is meant",
            line=line,
        )
    if member.cluster and member.context:
        raise _unread(
            file,
            f"{member.name} has a context and a cluster",
            cause="a context leads to a cluster that is there, cluster names one that the azure labs make",
            line=line,
        )
    folder = file.absolute().parent
    for key in ("profile", "kubeconfig"):
        if value := getattr(member, key):
            path = folder / Path(value).expanduser()
            if not path.is_file():
                raise _unread(file, f"there is no file {path}, the {key} of {member.name}", line=line)
            given[key] = str(path)
    return replace(member, profile=given.get("profile", ""), kubeconfig=given.get("kubeconfig", ""))


def _refuse_doubles(roster: Roster) -> None:
    """Of two members with one name the state would be one; of two with one cluster each would undo the other's."""
    names: dict[str, Member] = {}
    clusters: dict[tuple[str, str], Member] = {}
    for member in roster.members:
        before = names.setdefault(member.name.lower(), member)
        if before is not member:
            raise _unread(
                roster.file,
                f"{member.name} is there twice, in line {before.line} as well",
                cause="names differ in more than capital letters",
                line=member.line,
            )
        if member.context:
            place = (str(Path(member.kubeconfig).resolve()) if member.kubeconfig else "", member.context)
            before = clusters.setdefault(place, member)
            if before is not member:
                raise _unread(
                    roster.file,
                    f"{member.name} has the cluster of {before.name} (line {before.line})",
                    cause="each member needs a cluster of its own: they would undo each other's work",
                    line=member.line,
                )


def _unread(file: Path, why: str, instead: str = "", *, cause: str = "", line: int = 0) -> UsageError:
    where = f"{file}, line {line}" if line else str(file)
    return UsageError(
        f"read the roster {where}", why, cause=cause or (f"for example: {instead}" if instead else "")
    )


def chosen(roster: Roster, names: Iterable[str]) -> tuple[Member, ...]:
    """The members of these names, in the roster's order; all where there are none. Raises UsageError for a name
    that it does not have."""
    names = [name for name in names if name]
    known = {member.name.lower(): member for member in roster.members}
    for name in names:
        if name.lower() not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            raise UsageError(
                f"find the member {name}",
                f"{roster.file} does not have it",
                cause=f"did you mean {known[near[0]].name}?" if near else _some(roster.members),
            )
    wanted = {name.lower() for name in names}
    return tuple(one for one in roster.members if not names or one.name.lower() in wanted)


def _some(members: Sequence[Member]) -> str:
    names = ", ".join(member.name for member in members[:8])
    return f"its members are {names}" + (f" and {len(members) - 8} more" if len(members) > 8 else "")


def shard(members: Sequence[Member], which: str) -> tuple[Member, ...]:
    """Every N-th member, for one of N machines that share a class: `which` is "2/4". Each member is in one of them,
    whatever order the machines begin in. Raises UsageError for what is no share."""
    found = _SHORT.fullmatch(which)
    if found is None or int(found[1]) > int(found[2]):
        raise UsageError(
            f"take the share {which!r} of the class",
            "it is which one of how many, as 2/4",
            cause="each machine takes another one: 1/4, 2/4, 3/4 and 4/4",
        )
    return tuple(members[int(found[1]) - 1 :: int(found[2])])
