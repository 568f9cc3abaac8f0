"""Pods live as Kubernetes says: they start, crash, are restarted, become ready, and end."""

from __future__ import annotations

import asyncio
import socket

import pytest
import yaml

from sandbox.api import kubectl_tables as tables
from sandbox.api.kinds import Registry
from sandbox.core.cluster import Object
from sandbox.images import TAGS, missing
from sandbox.images.program import Container, NoOp, Program, ProgramError
from tests.sandbox.node.conftest import NAMESPACE, Place, container
from workshop.settings import DEFAULT_PROFILE

PODINFO = container("ghcr.io/stefanprodan/podinfo:6.7.0")


async def test_a_pod_becomes_ready_and_tells_what_happened(place: Place) -> None:
    run = await place.serving("web", PODINFO)
    pod = place.pod("web")
    status = pod["status"]
    assert status["phase"] == "Running"
    assert status["podIP"] == run.ip
    assert status["hostIP"] in place.node._node_objects.addresses.values()
    assert status["containerStatuses"][0]["ready"]
    assert {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} == {
        condition["type"] for condition in status["conditions"]
    }
    assert {"Scheduled", "Pulled", "Created", "Started"} <= set(place.reasons("web"))


async def test_an_unknown_image_names_the_known_ones_until_it_is_corrected(place: Place) -> None:
    place.start("web", container("nginx:1.27"))
    await place.until(lambda: place.state("web").get("waiting", {}).get("reason") == "ErrImagePull")
    assert "podinfo" in place.state("web")["waiting"]["message"]
    messages = [event["message"] for event in place.cluster.list("events", NAMESPACE)]
    assert any('unknown image "nginx:1.27"' in message and "podinfo" in message for message in messages)

    def correct(pod: dict) -> None:  # type: ignore[type-arg]
        pod["spec"]["containers"][0]["image"] = "podinfo"

    place.cluster.edit("pods", NAMESPACE, "web", correct, manager="test")
    await place.until(lambda: place.ready("web"))


async def test_an_unknown_image_is_backed_off(place: Place) -> None:
    place.start("web", container("nginx"))
    await place.until(lambda: place.state("web").get("waiting", {}).get("reason") == "ImagePullBackOff")


async def test_an_unknown_tag_of_a_known_image_is_not_pulled(place: Place) -> None:
    """In the words of containerd, which the kubelet passes on."""
    place.start("web", container("docker.io/istio/examples-helloworld-v1:1.O"))
    await place.until(lambda: place.state("web").get("waiting", {}).get("reason") == "ErrImagePull")
    message = place.state("web")["waiting"]["message"]
    assert 'image "docker.io/istio/examples-helloworld-v1:1.O"' in message
    assert "examples-helloworld-v1:1.O: not found" in message
    assert "the tags of it that the sandbox has are latest, 1.0" in message


def test_all_images_of_the_workshop_are_known_by_their_tags() -> None:
    images = yaml.safe_load(DEFAULT_PROFILE.read_text())["images"].values()
    assert {image: missing(image, TAGS) for image in images} == dict.fromkeys(images, "")


async def test_an_image_that_changes_restarts_the_container(place: Place) -> None:
    await place.serving("web", PODINFO)

    def newer(pod: dict) -> None:  # type: ignore[type-arg]
        pod["spec"]["containers"][0]["image"] = "podinfo:6.9.2"

    place.cluster.edit("pods", NAMESPACE, "web", newer, manager="test")
    await place.until(lambda: place.pod("web")["status"]["containerStatuses"][0]["restartCount"] == 1)
    await place.until(lambda: place.ready("web"))
    assert '"version": "6.9.2"' in (await place.exec("web", "curl", "-s", "localhost:9898/version"))[1]


async def test_a_container_that_starts_again_finds_what_objects_say_by_now(place: Place) -> None:
    """Seen: a Prometheus that had crashed for its ConfigMap read the old one again and again. What was written into
    an emptyDir stays, and so does the content of an object that is gone."""
    for name in ("going", "changing"):
        config = {"metadata": {"name": name, "namespace": NAMESPACE}, "data": {"a": "1"}}
        place.cluster.create("configmaps", config, manager="test")
    volumes = [{"name": name, "configMap": {"name": name}} for name in ("going", "changing")]
    volumes.append({"name": "own", "emptyDir": {}})
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    await place.serving("web", {**PODINFO, "volumeMounts": mounts}, volumes=volumes)
    assert (await place.exec("web", "sh", "-c", "cat /changing/a; echo kept > /own/a"))[1] == "1"

    def changed(found: dict) -> None:  # type: ignore[type-arg]
        found["data"] = {"a": "2"}

    def newer(pod: dict) -> None:  # type: ignore[type-arg]
        pod["spec"]["containers"][0]["image"] = "podinfo:6.9.2"

    place.cluster.edit("configmaps", NAMESPACE, "changing", changed, manager="test")
    place.cluster.delete("configmaps", NAMESPACE, "going")
    place.cluster.edit("pods", NAMESPACE, "web", newer, manager="test")
    await place.until(lambda: place.pod("web")["status"]["containerStatuses"][0]["restartCount"] == 1)
    await place.until(lambda: place.ready("web"))
    assert (await place.exec("web", "sh", "-c", "cat /changing/a /going/a /own/a"))[1] == "21kept\n"


async def test_a_crash_is_restarted_at_once_and_then_backed_off(place: Place) -> None:
    place.start("web", container("busybox", "sh", "-c", "echo so long; exit 3"))
    await place.until(lambda: place.state("web").get("waiting", {}).get("reason") == "CrashLoopBackOff")
    assert place.pod("web")["status"]["containerStatuses"][0]["restartCount"] == 1
    assert place.state("web", field="lastState")["terminated"]["exitCode"] == 3
    assert place.pod("web")["status"]["phase"] == "Running"
    previous = place.run("web").containers[0].previous_log
    assert previous is not None
    assert [line.text async for line in previous.read()] == [b"so long"]
    assert "BackOff" in place.reasons("web", "Warning")


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (4, "Failed")])
async def test_a_pod_that_is_never_restarted_ends(place: Place, code: int, phase: str) -> None:
    place.start("job", container("busybox", "sh", "-c", f"exit {code}"), restartPolicy="Never")
    await place.until(lambda: place.pod("job")["status"]["phase"] == phase)
    assert place.state("job")["terminated"]["exitCode"] == code
    assert place.state("job")["terminated"]["reason"] == ("Error" if code else "Completed")
    place.cluster.delete("pods", NAMESPACE, "job")
    assert place.cluster.find("pods", NAMESPACE, "job") is None


async def test_a_program_that_cannot_start_says_why_in_its_log(place: Place) -> None:
    class Broken(Program):
        async def start(self) -> None:
            raise ProgramError("no such thing", 9)

    place.programs["broken"] = Broken
    place.start("web", container("broken"), restartPolicy="Never")
    await place.until(lambda: place.state("web").get("terminated"))
    assert place.state("web")["terminated"]["exitCode"] == 9
    assert await place.log("web") == ["no such thing"]


def shown(pod: Object) -> tuple[str, str]:
    """READY and STATUS of `kubectl get pods`."""
    layout = tables.layout_of(Registry().by_key("pods"))
    row = dict(zip([column.name for column in layout.columns], layout.row(pod), strict=True))
    return row["Ready"], row["Status"]


async def test_what_comes_after_a_sidecar_waits_for_its_startup_probe(place: Place) -> None:
    first = container("busybox", "sh", "-c", "while ! test -e /both/go; do sleep 0.01; done", name="first")
    probe = {"exec": {"command": ["test", "-e", "/both/up"]}, "periodSeconds": 1, "failureThreshold": 30}
    side = {**container("busybox", "sleep", "inf", name="side"), "restartPolicy": "Always", "startupProbe": probe}
    mounts = {"volumeMounts": [{"name": "both", "mountPath": "/both"}]}
    init = [{**first, **mounts}, {**side, **mounts}]
    place.start("web", PODINFO, initContainers=init, volumes=[{"name": "both", "emptyDir": {}}])
    await place.until(lambda: place.node.run_of(place.pod("web")))
    await place.until(lambda: place.run("web").init[0].running and shown(place.pod("web")) == ("0/2", "Init:0/2"))
    await place.exec("web", "sh", "-c", "echo > /both/go", container="first")
    await place.until(lambda: place.run("web").init[1].running and shown(place.pod("web")) == ("0/2", "Init:1/2"))
    assert place.pod("web")["status"]["phase"] == "Pending"
    assert "waiting" in place.state("web")
    await place.exec("web", "sh", "-c", "echo > /both/up", container="side")
    await place.until(lambda: shown(place.pod("web")) == ("2/2", "Running"))


async def test_a_pod_ends_when_its_containers_have_and_then_its_sidecars(place: Place) -> None:
    side = {**container("podinfo", name="side"), "restartPolicy": "Always"}
    main = container("busybox", "sh", "-c", "exit 3")
    place.start("job", main, initContainers=[side], restartPolicy="Never")
    phases: list[str] = []
    async with asyncio.timeout(60):
        async for event in place.cluster.watch("pods"):
            status = event.object["status"]
            phases.append(status.get("phase", ""))
            if phases[-1] == "Failed":
                break
    assert list(dict.fromkeys(phases)) == ["Pending", "Running", "Failed"]
    (ended,) = status["initContainerStatuses"]
    assert (ended["state"]["terminated"]["exitCode"], ended["ready"]) == (0, False)
    assert place.state("job")["terminated"]["exitCode"] == 3
    assert shown(place.pod("job")) == ("0/2", "Error")


async def test_what_a_container_wants_done_before_its_end_is_done(place: Place) -> None:
    said = "test -e /both/go && echo > /both/done || exit 5"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", said]}}}
    mounts = {"volumeMounts": [{"name": "both", "mountPath": "/both"}]}
    volumes = [{"name": "both", "emptyDir": {}}]
    box = container("busybox", "sleep", "inf", lifecycle=hook, **mounts)
    run = await place.serving("box", box, volumes=volumes)
    await place.exec("box", "sh", "-c", "echo > /both/go")
    assert run.containers[0].program is not None
    files = run.containers[0].program.container.files
    place.cluster.delete("pods", NAMESPACE, "box", grace_seconds=5)
    await place.until(lambda: place.cluster.find("pods", NAMESPACE, "box") is None)
    assert files.exists("/both/done")
    assert "FailedPreStopHook" not in place.reasons("box", "Warning")
    await place.serving("other", box, volumes=volumes)
    place.cluster.delete("pods", NAMESPACE, "other", grace_seconds=5)
    await place.until(lambda: "FailedPreStopHook" in place.reasons("other", "Warning"))


async def test_a_pause_before_the_end_is_part_of_the_grace_period(place: Place) -> None:
    pause = {"preStop": {"sleep": {"seconds": 600}}}
    await place.serving("box", container("busybox", "sleep", "inf", lifecycle=pause))
    place.cluster.delete("pods", NAMESPACE, "box", grace_seconds=1)
    await place.until(lambda: place.cluster.find("pods", NAMESPACE, "box") is None)
    assert "FailedPreStopHook" in place.reasons("box", "Warning")


async def test_a_sidecar_whose_image_is_changed_starts_anew(place: Place) -> None:
    side = {**container("podinfo:6.9.1", name="side"), "restartPolicy": "Always"}
    await place.serving("web", container("busybox", "sleep", "inf"), initContainers=[side])

    def change(pod: Object) -> None:
        pod["spec"]["initContainers"][0]["image"] = "podinfo:6.9.2"

    place.cluster.edit("pods", NAMESPACE, "web", change, manager="test")
    await place.until(lambda: place.pod("web")["status"]["initContainerStatuses"][0]["restartCount"] == 1)
    await place.until(lambda: place.ready("web"))


async def test_a_command_the_image_does_not_have_fails(place: Place) -> None:
    place.start("web", container("podinfo", "/bin/nonsense"), restartPolicy="Never")
    await place.until(lambda: place.state("web").get("terminated"))
    assert place.state("web")["terminated"]["exitCode"] == 127
    assert "nonsense" in (await place.log("web"))[-1]


async def test_init_containers_run_before_in_order_and_share_volumes(place: Place) -> None:
    mounts = [{"name": "work", "mountPath": "/both"}]
    first = container("busybox", "sh", "-c", "echo one > /both/x", name="first", volumeMounts=mounts)
    second = container("busybox", "sh", "-c", "echo two >> /both/x", name="second", volumeMounts=mounts)
    run = await place.serving(
        "web",
        {**PODINFO, "volumeMounts": mounts},
        initContainers=[first, second],
        volumes=[{"name": "work", "emptyDir": {}}],
    )
    assert (await place.exec("web", "cat", "/both/x"))[1] == "one\ntwo\n"
    assert not run.network.sidecar
    states = place.pod("web")["status"]["initContainerStatuses"]
    assert [state["state"]["terminated"]["exitCode"] for state in states] == [0, 0]


async def test_a_failing_init_container_holds_the_pod_back(place: Place) -> None:
    place.start("web", PODINFO, initContainers=[container("busybox", "false", name="first")], restartPolicy="Never")
    await place.until(lambda: place.pod("web")["status"]["phase"] == "Failed")
    assert place.state("web")["waiting"]["reason"] == "PodInitializing"


async def test_a_sidecar_among_the_init_containers_goes_on_running(place: Place) -> None:
    side = {**container("go-httpbin", name="side"), "restartPolicy": "Always"}
    await place.serving("web", PODINFO, initContainers=[side])
    assert place.pod("web")["status"]["initContainerStatuses"][0]["ready"]
    assert (await place.exec("web", "curl", "-s", "-o", "/dev/null", "localhost:8080/get"))[0] == 0


async def test_environment_comes_from_values_fields_maps_and_services(place: Place) -> None:
    place.cluster.create(
        "configmaps",
        {"metadata": {"name": "cm", "namespace": NAMESPACE}, "data": {"a": "1", "b": "2"}},
        manager="t",
    )
    place.cluster.create(
        "secrets",
        {"metadata": {"name": "s", "namespace": NAMESPACE}, "stringData": {"key": "hush"}},
        manager="t",
    )
    env = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "none", "optional": True}}},
        {"name": "BOTH", "value": "$(NAME)-$(A)-$(MISSING)-$$(A)"},
    ]
    box = container("busybox", "sleep", "inf", env=env, envFrom=[{"prefix": "P_", "configMapRef": {"name": "cm"}}])
    box["resources"] = {"limits": {"cpu": "1500m"}}
    run = await place.serving("box", box)
    status, out, _ = await place.exec("box", "env")
    seen = dict(line.split("=", 1) for line in out.splitlines())
    assert status == 0
    assert seen["NAME"] == seen["HOSTNAME"] == seen["LABEL"] == "box"
    assert (seen["IP"], seen["CPU"], seen["A"], seen["KEY"], seen["P_b"]) == (run.ip, "2", "1", "hush", "2")
    assert seen["BOTH"] == "box-1-$(MISSING)-$(A)"
    assert "NONE" not in seen
    assert seen["KUBERNETES_SERVICE_PORT"] == "443"


async def test_missing_configuration_is_waited_for(place: Place) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "a"}}}]
    place.start("box", container("busybox", "sleep", "inf", env=env))
    await place.until(lambda: place.state("box").get("waiting", {}).get("reason") == "CreateContainerConfigError")
    assert place.state("box")["waiting"]["message"] == 'configmap "later" not found'
    later = {"metadata": {"name": "later", "namespace": NAMESPACE}, "data": {"a": "1"}}
    place.cluster.create("configmaps", later, manager="test")
    await place.until(lambda: place.ready("box"))


async def test_volumes_show_maps_secrets_and_the_pod(place: Place) -> None:
    place.cluster.create(
        "configmaps",
        {"metadata": {"name": "cm", "namespace": NAMESPACE}, "data": {"a": "1", "b": "2"}},
        manager="t",
    )
    volumes = [
        {"name": "map", "configMap": {"name": "cm", "items": [{"key": "b", "path": "deep/b"}]}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"configMap": {"name": "cm"}},
                    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                ]
            },
        },
    ]
    mounts = [
        {"name": "map", "mountPath": "/map", "readOnly": True},
        {"name": "all", "mountPath": "/all"},
        {"name": "all", "mountPath": "/etc/a.conf", "subPath": "a"},
    ]
    await place.serving("box", container("busybox", "sleep", "inf", volumeMounts=mounts), volumes=volumes)
    script = "cat /map/deep/b /all/labels /etc/a.conf; ls /all; echo x > /map/y"
    status, out, err = await place.exec("box", "sh", "-c", script)
    assert out == '2app="box"\n1a\nb\nlabels\n'
    assert (status, "Read-only file system" in err) == (1, True)


async def test_readiness_follows_the_probe(place: Place) -> None:
    probe = {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    await place.serving(
        "web", {**PODINFO, "ports": [{"name": "http", "containerPort": 9898}], "readinessProbe": probe}
    )
    await place.exec("web", "curl", "-s", "-X", "POST", "localhost:9898/readyz/disable")
    await place.until(lambda: not place.ready("web"))
    assert "Unhealthy" in place.reasons("web", "Warning")
    assert place.pod("web")["status"]["containerStatuses"][0]["restartCount"] == 0
    await place.exec("web", "curl", "-s", "-X", "POST", "localhost:9898/readyz/enable")
    await place.until(lambda: place.ready("web"))


@pytest.mark.parametrize(
    "check",
    [
        {"exec": {"command": ["cat", "/alive"]}},
        {"httpGet": {"path": "/alive", "port": 1}},
        {"tcpSocket": {"port": 1}},
    ],
)
async def test_liveness_restarts_the_container(place: Place, check: dict[str, object]) -> None:
    probe = {**check, "periodSeconds": 1, "failureThreshold": 1}
    place.start("box", container("busybox", "sleep", "inf", livenessProbe=probe))
    await place.until(lambda: place.pod("box")["status"].get("containerStatuses", [{}])[0].get("restartCount"))
    assert "Killing" in place.reasons("box")


async def test_a_startup_probe_comes_first(place: Place) -> None:
    probe = {"exec": {"command": ["test", "-e", "/up"]}, "periodSeconds": 1, "failureThreshold": 30}
    place.start("box", container("busybox", "sleep", "inf", startupProbe=probe))
    await place.until(lambda: place.state("box").get("running"))
    assert not place.ready("box")
    await place.exec("box", "sh", "-c", "echo > /up")
    await place.until(lambda: place.ready("box"))


async def test_the_redirection_to_a_sidecar_holds_from_the_init_container_on(place: Place) -> None:
    place.programs["proxyv2"] = NoOp
    init = container("docker.io/istio/proxyv2:1.31.1", name="istio-init")
    run = await place.serving("box", container("busybox", "sleep", "inf"), initContainers=[init])
    assert run.network.sidecar
    status, _, err = await place.exec("box", "curl", "-sS", run.host_ip)
    assert (status, "Failed to connect" in err) == (7, True)  # no proxy listens


async def test_sidecars_end_after_the_others_the_last_one_first(place: Place) -> None:
    ended: list[str] = []

    class Slow(Program):
        def __init__(self, container: Container) -> None:
            super().__init__(container)

        async def start(self) -> None:
            pass

        async def stop(self, grace: float) -> None:
            await asyncio.sleep(0 if self.container.name == "first" else 0.05)
            ended.append(self.container.name)

    place.programs["slow"] = Slow
    sidecars = [{**container("slow", name=name), "restartPolicy": "Always"} for name in ("first", "second")]
    await place.serving("web", container("slow"), initContainers=sidecars)
    place.cluster.delete("pods", NAMESPACE, "web")
    await place.until(lambda: place.cluster.find("pods", NAMESPACE, "web") is None)
    assert ended == ["main", "second", "first"]


async def test_deleting_without_grace_ends_at_once(place: Place) -> None:
    run = await place.serving("web", PODINFO)
    place.cluster.delete("pods", NAMESPACE, "web", grace_seconds=0)
    assert place.cluster.find("pods", NAMESPACE, "web") is None

    async def refused() -> bool:
        try:
            _, writer = await asyncio.open_connection(run.ip, 9898)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    async with asyncio.timeout(60):
        while not await refused():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_a_start_that_is_cut_off_has_opened_is_closed(place: Place) -> None:
    """Else nobody could listen there when another pod has the address."""
    begun = asyncio.Event()
    listening: list[socket.socket] = []

    class Starting(Program):
        async def start(self) -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                listening.append(socket.create_server((self.container.ip, 8080)))

        async def stop(self, grace: float) -> None:
            for opened in listening:
                opened.close()

    place.programs["starting"] = Starting
    place.start("web", container("starting"))
    await begun.wait()
    address = place.run("web").ip
    place.cluster.delete("pods", NAMESPACE, "web")
    await place.until(lambda: place.cluster.find("pods", NAMESPACE, "web") is None)
    socket.create_server((address, 8080)).close()


async def test_grace_bounds_what_a_request_may_take(place: Place) -> None:
    run = await place.serving("bin", container("go-httpbin"))
    reader, writer = await asyncio.open_connection(run.ip, 8080)
    writer.write(b"GET /delay/10 HTTP/1.1\r\nHost: bin\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)
    place.cluster.delete("pods", NAMESPACE, "bin", grace_seconds=1)
    assert await reader.read() == b""
    await place.until(lambda: place.cluster.find("pods", NAMESPACE, "bin") is None)
    writer.close()


async def test_a_pod_that_ends_still_serves_who_has_not_heard_of_it(place: Place) -> None:
    run = await place.serving("bin", container("go-httpbin"))
    await place.expose("bin", 80, 8080)
    kept_reader, kept_writer = await asyncio.open_connection(run.ip, 8080)
    place.cluster.delete("pods", NAMESPACE, "bin")
    await place.until(lambda: not place.endpoints("bin"))
    assert not place.ready("bin")

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET /get HTTP/1.1\r\nHost: bin\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.lower()

    for reader, writer in [(kept_reader, kept_writer), await asyncio.open_connection(run.ip, 8080)]:
        answer = await ask(reader, writer)
        assert answer.startswith(b"http/1.1 200")
        assert b"\nconnection: close" in answer
    await place.until(lambda: place.cluster.find("pods", NAMESPACE, "bin") is None)


async def test_a_rolling_restart_loses_no_request(place: Place) -> None:
    template = {"metadata": {"labels": {"app": "bin"}}, "spec": {"containers": [container("go-httpbin")]}}
    deployment = {
        "metadata": {"name": "bin", "namespace": NAMESPACE},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "bin"}}, "template": template},
    }
    place.cluster.create("deployments.apps", deployment, manager="test")
    await place.expose("bin", 80, 8080)
    client = (await place.serving("client", container("busybox", "sleep", "inf"))).network.http
    before = {pod["metadata"]["uid"] for pod in place.cluster.list("pods", NAMESPACE, {"app": "bin"})}
    statuses: list[int] = []
    stopping = asyncio.Event()

    async def ask(path: str) -> None:
        while not stopping.is_set():
            statuses.append((await client.request("GET", f"http://bin{path}", {})).status)

    def restart(live: dict) -> None:  # type: ignore[type-arg]
        live["spec"]["template"]["metadata"]["annotations"] = {"restarted": "now"}

    def replaced() -> bool:
        pods = place.cluster.list("pods", NAMESPACE, {"app": "bin"})
        return len(pods) == 2 and not before & {pod["metadata"]["uid"] for pod in pods}

    asking = [asyncio.create_task(ask(path)) for path in ("/get", "/get", "/delay/0.1", "/delay/0.3")]
    await place.until(lambda: len(statuses) > 50)
    place.cluster.edit("deployments.apps", NAMESPACE, "bin", restart, manager="test")
    await place.until(replaced)
    stopping.set()
    await asyncio.gather(*asking)
    assert set(statuses) == {200}
    assert len(statuses) > 100
