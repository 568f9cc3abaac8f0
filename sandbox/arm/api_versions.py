"""Which api-versions there are, by type, and the refusal of others.

The stable ones of what the SDK's and the CLI's releases of the last years send, with the previews of registries and
identities that they send as well. An answer is the same in each: of what the sandbox has, nothing was renamed.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.arm.catalog import LOCATIONS
from sandbox.arm.protocol import ArmError

Versions = tuple[str, ...]


def _versions(text: str) -> Versions:
    """Those of a year stand behind it: `2024: 01-01 03-01`."""
    found: list[str] = []
    for line in text.strip().splitlines():
        year, _, days = line.strip().partition(": ")
        found += [f"{year}-{day}" for day in days.split()]
    return tuple(found)


_RESOURCES = _versions("""
    2016: 02-01 06-01 09-01
    2017: 05-10
    2018: 02-01 05-01 06-01
    2019: 03-01 05-01 05-10 06-01 07-01 08-01 10-01 11-01
    2020: 01-01 06-01 08-01 10-01
    2021: 01-01 04-01
    2022: 09-01 12-01
    2023: 07-01
    2024: 03-01 07-01 11-01
    2025: 03-01 04-01
""")
_NETWORK = _versions("""
    2018: 04-01 06-01 07-01 08-01 10-01 11-01 12-01
    2019: 02-01 04-01 06-01 07-01 08-01 09-01 11-01 12-01
    2020: 03-01 04-01 05-01 06-01 07-01 08-01 11-01
    2021: 02-01 03-01 05-01 08-01
    2022: 01-01 05-01 07-01 09-01 11-01
    2023: 02-01 04-01 05-01 06-01 09-01 11-01
    2024: 01-01 03-01 05-01 07-01 10-01
    2025: 01-01 03-01 05-01 07-01 09-01
    2026: 01-01 03-01
""")
_CLUSTERS = _versions("""
    2020: 01-01 02-01 03-01 04-01 06-01 07-01 09-01 11-01 12-01
    2021: 02-01 03-01 05-01 07-01 08-01 09-01 10-01
    2022: 01-01 02-01 03-01 04-01 06-01 07-01 09-01 11-01
    2023: 01-01 02-01 03-01 04-01 05-01 06-01 07-01 08-01 09-01 10-01 11-01
    2024: 01-01 02-01 05-01 07-01 08-01 09-01
    2025: 01-01 02-01 03-01 04-01 05-01 07-01 08-01 09-01 10-01
    2026: 01-01 02-01 03-01 04-01 05-01 06-01 07-01 08-01
""")
_REGISTRIES = _versions("""
    2017: 10-01
    2019: 05-01 06-01-preview 12-01-preview
    2020: 11-01-preview
    2021: 06-01-preview 08-01-preview 09-01 12-01-preview
    2022: 02-01-preview 12-01
    2023: 01-01-preview 06-01-preview 07-01 08-01-preview 11-01-preview
    2024: 11-01-preview
    2025: 03-01-preview 04-01 05-01-preview 06-01-preview 11-01
""")
_IDENTITIES = _versions("""
    2018: 11-30
    2021: 09-30-preview
    2022: 01-31-preview
    2023: 01-31 07-31-preview
    2024: 11-30
    2025: 01-31-preview
""")
_AUTHORIZATION = _versions("""
    2015: 07-01
    2018: 01-01-preview 07-01 09-01-preview
    2020: 04-01-preview 08-01-preview 10-01-preview
    2022: 04-01 05-01-preview
""")
_COMPUTE = _versions("""
    2019: 04-01 07-01 12-01
    2020: 06-01 12-01
    2021: 03-01 04-01 07-01 11-01
    2022: 03-01 08-01 11-01
    2023: 03-01 07-01 09-01
    2024: 03-01 07-01 11-01
    2025: 04-01
""")
_OF_NAMESPACES: Mapping[str, Versions] = {
    "microsoft.resources": _RESOURCES,
    "microsoft.network": _NETWORK,
    "microsoft.containerservice": _CLUSTERS,
    "microsoft.containerregistry": _REGISTRIES,
    "microsoft.managedidentity": _IDENTITIES,
    "microsoft.authorization": _AUTHORIZATION,
    "microsoft.compute": _COMPUTE,
}


def versions_of(namespace: str) -> Versions:
    """Of a provider that the sandbox knows; empty of others."""
    return _OF_NAMESPACES.get(namespace.lower(), ())


def check_version(method: str, path: str, version: str, location: str) -> None:
    """Raises ArmError, in the words of whoever would refuse it: the resource manager itself, or a provider."""
    namespace, *rest = path.rpartition("/providers/")[2].split("/") if "/providers/" in path else [""]
    if not rest or [each.lower() for each in rest] == ["register"]:  # about a subscription, a group, a provider
        if version not in _RESOURCES:
            listed = ",".join(_RESOURCES[::-1])
            message = f"The api-version '{version}' is invalid. The supported versions are '{listed}'."
            raise ArmError(400, "InvalidApiVersionParameter", message)
        return
    known = versions_of(namespace)
    if not known or version in known:
        return
    kind, listed = rest[0], ", ".join(known)
    if method in ("PUT", "PATCH", "POST"):
        where = f"location '{location}' and API version" if location else "API version"
        message = (
            f"No registered resource provider found for {where} '{version}' for type '{kind}'. The supported "
            f"api-versions are '{listed}'. The supported locations are '{', '.join(LOCATIONS)}'."
        )
        raise ArmError(400, "NoRegisteredProviderFound", message)
    message = (
        f"The resource type '{kind}' could not be found in the namespace '{namespace}' for api version "
        f"'{version}'. The supported api-versions are '{listed}'."
    )
    raise ArmError(404, "InvalidResourceType", message)
