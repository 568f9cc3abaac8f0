"""A password that nobody chooses and nobody sees: a Secret with a user's name and one, and another Secret, for who
uses it, with a connection string.

    login("Give the database a user", at="smoothies-db/ratings-mongodb", user="ratings",
          connection="mongodb://{username}:{password}@ratings-mongodb.smoothies-db:27017/ratingsdb",
          used_at="smoothies/ratings-mongodb", key="MONGOCONNECTION")

The password is made when there is none, and then is what the cluster has. It is in no command line, and differences
do not have it: a check compares it, and says only that it is another one. Programs read it when they start; so who
reads it is started anew where it has changed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from workshop.kubernetes.manifests import Object, is_ours, mark, name_of
from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT, Check, Difference, Explanation

if TYPE_CHECKING:
    from workshop.kubernetes.cluster_facts import Snapshot
    from workshop.runbook.run import Run

_BYTES = 24
_PLAIN = re.compile(r"[\w-]{16,}", re.ASCII)
"""A password that is the same in a URL."""
_VARIABLE = "PASSWORD"


def login(
    title: str, *, at: str, user: str, used_at: str, key: str, connection: str, readers: tuple[str, ...] = ()
) -> Step:
    """`at` and `used_at` are namespace/name of the Secrets, `key` that of the connection string in the second one.
    `readers` are namespace/name of the Deployments that read one of them."""
    return GeneratedLogin(title, at, user, used_at, key, connection, readers)


class GeneratedLogin(Step):
    def __init__(
        self, title: str, at: str, user: str, used_at: str, key: str, connection: str, readers: tuple[str, ...]
    ) -> None:
        self.title, self._at, self._user, self._used_at = title, at, user, used_at
        self._key, self._connection, self._readers = key, connection, readers

    def _objects(self, run: Run, password: str) -> list[Object]:
        string = self._connection.format(username=self._user, password=password)
        contents = (
            (self._at, {"username": self._user, "password": password}),
            (self._used_at, {self._key: string}),
        )
        objects = []
        for where, content in contents:
            obj = {**_reference(where), "type": "Opaque", "stringData": content}
            mark(obj, run.lab)
            objects.append(obj)
        return objects

    async def check(self, run: Run) -> Check:
        snapshot = await self._snapshot(run)
        password = self._password(snapshot)
        found: list[Difference] = []
        for wanted in self._objects(run, password):
            live, subject = snapshot.find(wanted), name_of(wanted)
            if live is None:
                found.append(Difference(subject, "", "present", ABSENT))
                continue
            labels = live["metadata"].get("labels") or {}
            for label, value in wanted["metadata"]["labels"].items():
                if labels.get(label) != value:
                    found.append(Difference(subject, f"metadata.labels[{label}]", value, labels.get(label, ABSENT)))
            for name, text in wanted["stringData"].items():
                there = _decoded(live, name)
                if there is None or there != text or not password:
                    says = "a password" if name == "password" else "the user and the password of the database"
                    found.append(Difference(subject, f"data.{name}", says, ABSENT if there is None else "another"))
        return Check(tuple(found))

    async def apply(self, run: Run) -> None:
        import secrets

        from workshop.kubernetes.kubectl import Kubectl

        kubectl, snapshot = Kubectl.of(run), await self._snapshot(run)
        password = self._password(snapshot) or secrets.token_urlsafe(_BYTES)
        # As data: what is written as stringData, server-side apply does not own.
        objects = [_encoded(obj) for obj in self._objects(run, password)]
        snapshot.learn(await kubectl.apply(objects))
        for reader in self._readers:
            namespace, _, name = reader.partition("/")
            if await kubectl.find("Deployment", namespace, name):
                await kubectl.restart(namespace, [name])

    def _password(self, snapshot: Snapshot) -> str:
        """The one that is there; empty where there is none of use."""
        live = snapshot.find(_reference(self._at))
        there = (_decoded(live, "password") if live else None) or ""
        return there if _PLAIN.fullmatch(there) else ""

    async def check_undo(self, run: Run) -> Check:
        from workshop.kubernetes.deletion import waits_for

        left = _ours(await self._snapshot(run), self._both())
        return Check(tuple(Difference(name_of(obj), "", ABSENT, waits_for(obj)) for obj in left))

    async def undo(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl

        if ours := _ours(await self._snapshot(run), self._both()):
            await Kubectl.of(run).delete(ours, wait=False)

    async def made(self, run: Run) -> frozenset[str]:
        return frozenset(map(name_of, self._both()))

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.typed_commands import with_stdin

        objects = self._objects(run, f"${_VARIABLE}")
        made = f"{_VARIABLE}=$(openssl rand -hex {_BYTES})"
        return Explanation(commands=(made, with_stdin("kubectl apply -f -", objects, (_VARIABLE,))))

    def explain_undo(self, run: Run) -> Explanation:
        typed = (
            f"kubectl delete secret {name} -n {namespace} --ignore-not-found"
            for namespace, _, name in (where.partition("/") for where in (self._used_at, self._at))
        )
        return Explanation(commands=tuple(typed))

    def _both(self) -> list[Object]:
        return [_reference(self._at), _reference(self._used_at)]

    async def _snapshot(self, run: Run) -> Snapshot:
        from workshop.kubernetes.cluster_facts import look_for

        return await look_for(run, self._both())


def _reference(where: str) -> Object:
    namespace, _, name = where.partition("/")
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}


def _encoded(secret: Object) -> Object:
    import base64

    data = {key: base64.b64encode(text.encode()).decode() for key, text in secret["stringData"].items()}
    return {**{key: value for key, value in secret.items() if key != "stringData"}, "data": data}


def _decoded(live: Object, key: str) -> str | None:
    """None for what is not there, or no text."""
    import base64

    try:
        return base64.b64decode(live["data"][key], validate=True).decode()
    except (KeyError, TypeError, ValueError):
        return None


def _ours(snapshot: Snapshot, objects: list[Object]) -> list[Object]:
    live = [snapshot.find(obj) for obj in reversed(objects)]
    return [obj for obj in live if obj is not None and is_ours(obj)]
