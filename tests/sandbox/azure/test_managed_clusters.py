"""Managed clusters: what AKS checks, and the Kubernetes each of them is."""

from __future__ import annotations

import copy
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.azure_settings import QUOTAS

from .world import NETWORK_CONTRIBUTOR, Arm, cluster_body, refused

KUBECTL = Path(sys.executable).parent / "kubectl"
NODES = ("get", "nodes", "-o", "name")
Eventually = Callable[[Callable[[], Any]], Any]


def pool(**changes: Any) -> dict[str, Any]:
    (one,) = cluster_body()["properties"]["agentPoolProfiles"]
    return cluster_body(agentPoolProfiles=[{**one, **changes}])


def network(**changes: Any) -> dict[str, Any]:
    return cluster_body(networkProfile={**cluster_body()["properties"]["networkProfile"], **changes})


class Clusters:
    """Of one group, with kubectl for them."""

    def __init__(self, arm: Arm, group: str, folder: Path) -> None:
        self._arm, self._group, self._folder = arm, group, folder
        self.all = arm.clusters.managed_clusters

    def begin(self, name: str, body: Any) -> Any:
        return self.all.begin_create_or_update(self._group, name, body)

    def put(self, name: str, body: Any) -> Any:
        return self.begin(name, body).result()

    def get(self, name: str) -> Any:
        return self.all.get(self._group, name)

    def delete(self, name: str) -> None:
        self.all.begin_delete(self._group, name).result()

    def credentials(self, name: str) -> bytes:
        (one,) = self.all.list_cluster_user_credentials(self._group, name).kubeconfigs
        return bytes(one.value)

    def kubectl(self, name: str, *arguments: str) -> str:
        kubeconfig = self._folder / name
        kubeconfig.write_bytes(self.credentials(name))
        command = [KUBECTL, f"--kubeconfig={kubeconfig}", f"--cache-dir={self._folder}/cache", f"--context={name}"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def clusters(arm: Arm, group: str, tmp_path: Path) -> Clusters:
    return Clusters(arm, group, tmp_path)


def test_a_life(arm: Arm, group: str, clusters: Clusters) -> None:
    arm.set(durations={"managedClusters": 1.0})
    poller = clusters.begin("one", cluster_body())
    assert clusters.get("one").properties.provisioning_state == "Creating"
    error = refused(lambda: clusters.credentials("one"))
    assert (error.status_code, error.error.code) == (409, "OperationNotAllowed")
    error = refused(lambda: clusters.begin("one", cluster_body()))
    assert (error.status_code, error.error.code) == (409, "OperationNotAllowed")
    made = poller.result().properties
    assert (made.provisioning_state, made.current_kubernetes_version) == ("Succeeded", "1.36.1")
    kubelet = made.identity_profile["kubeletidentity"]
    assert arm.resources.resources.get_by_id(kubelet.resource_id, api_version="2023-01-31").properties[
        "principalId"
    ] == (kubelet.object_id)
    assert len(clusters.kubectl("one", *NODES).split()) == 2

    node_group = arm.resources.resource_groups.get(made.node_resource_group)
    assert node_group.managed_by == clusters.get("one").id
    error = refused(lambda: arm.resources.resource_groups.begin_delete(made.node_resource_group))
    assert error.error.code == "DenyAssignmentAuthorizationFailed"
    clusters.delete("one")
    assert refused(lambda: clusters.get("one")).status_code == 404
    assert not arm.resources.resource_groups.check_existence(made.node_resource_group)
    clusters.delete("one")


def test_each_is_a_kubernetes_of_its_own(clusters: Clusters) -> None:
    clusters.put("one", cluster_body())
    clusters.put("two", pool(name="other", count=1))
    clusters.kubectl("one", "create", "namespace", "only-here")
    assert "only-here" not in clusters.kubectl("two", "get", "namespaces")
    assert clusters.kubectl("two", *NODES).split() == ["node/aks-other-1234567-vmss000000"]
    clusters.delete("one")
    assert "default" in clusters.kubectl("two", "get", "namespaces")


def test_its_pods_run_and_its_services_are_reached(clusters: Clusters, eventually: Eventually) -> None:
    clusters.put("one", cluster_body())
    clusters.kubectl("one", "create", "deployment", "web", "--image=docker.io/kennethreitz/httpbin", "--port=80")
    clusters.kubectl("one", "wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    clusters.kubectl("one", "expose", "deployment", "web", "--type=LoadBalancer", "--port=8000", "--target-port=80")
    where = "jsonpath={.status.loadBalancer.ingress[0].ip}"
    address = eventually(lambda: clusters.kubectl("one", "get", "service", "web", "-o", where))

    def reached() -> bool:
        curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address}:8000/status/204"]
        return subprocess.run(curl, capture_output=True, text=True, check=False).stdout == "204"

    eventually(reached)


def test_an_unchanged_put_keeps_it_and_a_changed_count_scales_it(
    clusters: Clusters, eventually: Eventually
) -> None:
    made = clusters.put("one", cluster_body())
    before = clusters.credentials("one")
    again = clusters.put("one", made)
    assert (again.properties.resource_uid, clusters.credentials("one")) == (made.properties.resource_uid, before)
    changed = clusters.put("one", {**pool(count=3), "tags": {"a": "b"}})
    assert (changed.tags, changed.properties.agent_pool_profiles[0].count) == ({"a": "b"}, 3)
    assert len(clusters.kubectl("one", *NODES).split()) == 3
    clusters.kubectl("one", "create", "deployment", "web", "--image=traefik/whoami", "--replicas=3")
    clusters.put("one", pool(count=1))
    eventually(lambda: len(clusters.kubectl("one", *NODES).split()) == 1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (cluster_body(kubernetesVersion="1.20.9"), "K8sVersionNotSupported"),
        (pool(vmSize="Standard_Huge"), "BadRequest"),
        (network(dnsServiceIP="10.3.0.10"), "DnsServiceIpOutOfServiceCidr"),
        (network(dnsServiceIP="10.2.0.1"), "DnsServiceIpOutOfServiceCidr"),
        (network(podCidr="10.2.0.0/16"), "ServiceCidrOverlapPodCidr"),
        (pool(vnetSubnetID="/subscriptions/x/virtualNetworks/n/subnets/s"), "SubnetNotFound"),
        ({**cluster_body(), "identity": None}, "ServicePrincipalValidationClientError"),
        (network(networkPolicy="calico"), "InvalidRequestContent"),
        (network(networkPlugin="kubenet"), "InvalidRequestContent"),
        (cluster_body(enableRBAC=False), "InvalidRequestContent"),
        (cluster_body(addonProfiles={"httpApplicationRouting": {"enabled": True}}), "InvalidRequestContent"),
        (cluster_body(linuxProfile={"antivirus": "on"}), "InvalidRequestContent"),
        (cluster_body(agentPoolProfiles=[]), "InvalidRequestContent"),
        (pool(count=0), "InvalidParameter"),
        (pool(count=1001), "InvalidParameter"),
        (pool(count=300, vmSize="Standard_F2s_v2"), "InvalidRequestContent"),
        (pool(count=True), "InvalidRequestContent"),
        (pool(name="Pool"), "InvalidRequestContent"),
    ],
)
def test_refusals(clusters: Clusters, body: dict[str, Any], code: str) -> None:
    error = refused(lambda: clusters.begin("one", body))
    assert (error.status_code, error.error.code) == (400, code)
    assert refused(lambda: clusters.get("one")).status_code == 404


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (cluster_body(dnsPrefix="two"), "properties.dnsPrefix"),
        (network(podCidr="192.169.0.0/16"), "properties.networkProfile.podCidr"),
        (pool(vmSize="Standard_D2s_v5"), "properties.agentPoolProfiles.vmSize"),
        (pool(maxPods=50), "properties.agentPoolProfiles.maxPods"),
    ],
)
def test_what_cannot_be_changed(clusters: Clusters, body: dict[str, Any], what: str) -> None:
    clusters.put("one", cluster_body())
    error = refused(lambda: clusters.begin("one", body))
    assert (error.status_code, error.error.code, error.error.target) == (400, "PropertyChangeNotAllowed", what)


def test_quotas_are_counted(arm: Arm, clusters: Clusters) -> None:
    arm.set(quotas={"cores": 100, "family": 6, "managedClusters": 2})
    clusters.put("one", cluster_body())
    error = refused(lambda: clusters.begin("two", cluster_body()))
    assert error.error.code == "ErrCode_InsufficientVCPUQuota"
    assert "requested 4, remaining 2 for family standardDSv2Family" in error.error.message
    place = f"/subscriptions/{arm.subscription}/providers/Microsoft.Compute/locations/westeurope/usages"
    used = {each["name"]["value"]: each["currentValue"] for each in arm.get(place)["value"]}
    assert (used["cores"], used["standardDSv2Family"]) == (4, 4)
    arm.set(quotas={"cores": 5, "family": 6})
    error = refused(lambda: clusters.begin("one", pool(count=3)))
    assert "left regional vcpu quota 1, requested quota 2" in error.error.message
    arm.set(quotas={"cores": 100, "managedClusters": 1})
    error = refused(lambda: clusters.begin("two", pool(count=1)))
    assert error.error.code == "ManagedClusterCountExceedsQuotaLimit"
    assert "Maximum allowed: 1, Current usage: 1" in error.error.message


def test_how_large_it_gets_is_a_matter_of_the_quota(arm: Arm, clusters: Clusters) -> None:
    """Azure's words: the figures of the quota that a new subscription has, and no limit of the sandbox's own."""
    arm.set(quotas=dict(QUOTAS))
    error = refused(lambda: clusters.begin("one", pool(count=12)))
    assert error.error.code == "ErrCode_InsufficientVCPUQuota"
    said = "Insufficient regional vcpu quota left for location westeurope. left regional vcpu quota 20, requested"
    assert said in error.error.message
    assert "requested quota 24" in error.error.message
    arm.set(quotas={"cores": 24, "family": 24})
    clusters.put("one", pool(count=12))
    assert len(clusters.kubectl("one", *NODES).split()) == 12


def test_in_a_network_of_the_groups_own(arm: Arm, group: str, clusters: Clusters) -> None:
    made, identity = arm.make_network(group), arm.make_identity(group)
    subnet = made.properties.subnets[0].id
    body = pool(vnetSubnetID=subnet)
    body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity.id: {}}}
    error = refused(lambda: clusters.begin("one", body))
    assert error.error.code == "ResourceMissingPermissionError"
    arm.assign(made.id, identity.properties["principalId"], NETWORK_CONTRIBUTOR, str(uuid.uuid4()))
    overlapping = copy.deepcopy(body)
    overlapping["properties"]["networkProfile"] |= {"serviceCidr": "10.240.1.0/24", "dnsServiceIP": "10.240.1.10"}
    error = refused(lambda: clusters.begin("one", overlapping))
    assert error.error.code == "ServiceCidrOverlapExistingSubnetsCidr"
    clusters.put("one", body)
    assert list(clusters.get("one").identity.user_assigned_identities) == [identity.id]

    networks = arm.network.virtual_networks
    error = refused(lambda: networks.begin_delete(group, "net"))
    assert error.error.code == "InUseSubnetCannotBeDeleted"
    without = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}}}
    error = refused(lambda: networks.begin_create_or_update(group, "net", without))
    assert error.error.code == "InUseSubnetCannotBeDeleted"
    error = refused(lambda: arm.resources.resources.begin_delete_by_id(identity.id, api_version="2023-01-31"))
    assert error.status_code == 409
    clusters.delete("one")
    networks.begin_delete(group, "net").result()


def test_versions(arm: Arm) -> None:
    (version,) = arm.clusters.managed_clusters.list_kubernetes_versions("westeurope").values_property
    assert (version.version, list(version.patch_versions)) == ("1.36", ["1.36.1"])
