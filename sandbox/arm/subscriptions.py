"""The subscription, its tenant and locations, the registration of providers, and how operations stand."""

from __future__ import annotations

from sandbox.arm.cloud import PROVIDERS, Body, Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.operations import Operation
from sandbox.arm.places import LOCATIONS
from sandbox.arm.routes import Answer, Call, Router

_VERSIONS = ("2026-09-01-preview", "2025-06-01", "2024-01-01")
"""What providers name for each type: any is accepted, as long as one is sent."""


class Subscriptions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self, router: Router) -> None:
        router.add("GET", "/tenants", self.tenants)
        router.add("GET", "/subscriptions", self.list)
        one = "/subscriptions/{subscription}"
        router.add("GET", one, self.get)
        router.add("GET", one + "/locations", self.locations)
        router.add("GET", one + "/providers", self.providers)
        router.add("GET", one + "/providers/{provider}", self.provider)
        router.add("POST", one + "/providers/{provider}/register", self.register)
        place = one + "/providers/{provider}/locations/{location}"
        router.add("GET", place + "/operations/{operation}", self.status)
        router.add("GET", place + "/operationResults/{operation}", self.result)

    async def tenants(self, call: Call) -> Answer:
        tenant = self._cloud.tenant
        shown = {
            "id": f"/tenants/{tenant}",
            "tenantId": tenant,
            "displayName": "Sandbox",
            "defaultDomain": "sandbox.localhost",
        }
        return Answer(200, {"value": [shown]})

    async def list(self, call: Call) -> Answer:
        return Answer(200, {"value": [self._show()]})

    async def get(self, call: Call) -> Answer:
        return Answer(200, self._show())

    async def locations(self, call: Call) -> Answer:
        prefix = f"/subscriptions/{self._cloud.subscription}/locations"
        shown = [
            {"id": f"{prefix}/{name}", "name": name, "displayName": words, "regionalDisplayName": words}
            for name, words in LOCATIONS.items()
        ]
        return Answer(200, {"value": shown})

    async def providers(self, call: Call) -> Answer:
        return Answer(200, {"value": [self._show_provider(each) for each in PROVIDERS]})

    async def provider(self, call: Call) -> Answer:
        return Answer(200, self._show_provider(self._spelled(call)))

    async def register(self, call: Call) -> Answer:
        namespace, cloud = self._spelled(call), self._cloud
        if cloud.registration(namespace) not in ("Registered", "Registering"):
            cloud.set_registration(namespace, "Registering")

            async def work() -> None:
                await cloud.last("provider")

            operation = Operation(f"/subscriptions/{cloud.subscription}", "Registering", lambda: None)
            cloud.operations.begin(operation, work, lambda error: cloud.set_registration(namespace, "Registered"))
        return Answer(200, self._show_provider(namespace))

    async def status(self, call: Call) -> Answer:
        return Answer(200, self._cloud.operations.find(call.names["operation"]).show())

    async def result(self, call: Call) -> Answer:
        """What `Location` leads to: 202 while it goes on, then the outcome."""
        operation = self._cloud.operations.find(call.names["operation"])
        if operation.ended is None:
            return Answer(202, None, {"Location": f"{self._cloud.url}{call.path}?api-version={call.version}"})
        if operation.error is not None:
            raise operation.error
        content = operation.result()
        return Answer(200, content) if content is not None else Answer(204)

    def _show(self) -> Body:
        return {
            "id": f"/subscriptions/{self._cloud.subscription}",
            "subscriptionId": self._cloud.subscription,
            "tenantId": self._cloud.tenant,
            "displayName": "Mesh Workshop sandbox",
            "state": self._cloud.settings.state,
            "authorizationSource": "RoleBased",
        }

    def _show_provider(self, namespace: str) -> Body:
        return {
            "id": f"/subscriptions/{self._cloud.subscription}/providers/{namespace}",
            "namespace": namespace,
            "registrationPolicy": "RegistrationRequired",
            "registrationState": self._cloud.registration(namespace),
            "resourceTypes": [
                {"resourceType": kind, "locations": list(LOCATIONS.values()), "apiVersions": list(_VERSIONS)}
                for kind in sorted(self._kinds(namespace))
            ],
        }

    def _kinds(self, namespace: str) -> set[str]:
        """The types of a provider that there is something of: also what the settings have placed."""
        types = (each.type.partition("/") for each in self._cloud.resources.values())
        return {kind for owner, _, kind in types if owner == namespace}

    def _spelled(self, call: Call) -> str:
        """Raises ArmError for a namespace that is neither served nor that of something placed."""
        there = {each.type.partition("/")[0] for each in self._cloud.resources.values()}
        for namespace in (*PROVIDERS, *there):
            if namespace.lower() == call.names["provider"].lower():
                return namespace
        raise ArmError(
            404,
            "InvalidResourceNamespace",
            f"The resource namespace '{call.names['provider']}' is invalid: "
            f"the sandbox has {', '.join(PROVIDERS)}.",
        )
