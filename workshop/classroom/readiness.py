"""Whether a class could begin: each member's cluster, and Azure's quotas for all members together.

For a member it is asked what `invoke doctor` asks of a cluster, over the one kubectl that a run starts anyway; a
cluster that is yet to be made need not answer. What members share, a subscription, is asked once for all of them:
quotas that are enough for each alone are not for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workshop import cluster_findings
from workshop.account import azure_of
from workshop.azure.class_quota import Account
from workshop.azure.class_quota import examine as examine_accounts
from workshop.azure.preflight import finding_of
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.results import Finding
from workshop.runbook.run import Facts
from workshop.target import Target


async def examine_member(
    target: Target, runbook: Runbook, labs: Sequence[str], *, to_adopt: bool = False
) -> list[Finding]:
    """What would make these labs, and all that they need, fail on the member's cluster; all labs where none is
    named. Reads only. `to_adopt`: the cluster is about to be adopted, so it need not be yet."""
    facts, asked = Facts(), runbook.with_needs(tuple(labs)) if labs else runbook.labs
    try:
        return await cluster_findings.examine(target, asked, target.use.command, facts, to_adopt=to_adopt)
    finally:
        await facts.close()


async def examine_tools(targets: Iterable[Target]) -> list[Finding]:
    """What the members' runs start on this machine, or would download; a place to download from is tried once."""
    missing: dict[tuple[str, str], Target] = {}
    for target in targets:
        program = target.istioctl.program
        there = await program.installed()
        if there in program.candidates:
            break  # in PATH: everybody's
        if not there:
            missing.setdefault((program.version, program.release.base_url), target)
    found = []
    for target in missing.values():
        try:
            found.append(await cluster_findings.istioctl(target))
        except WorkshopError as error:
            found.append(finding_of("istioctl", error))
    return found


async def examine_quota(targets: Iterable[Target]) -> list[Finding]:
    """Of the members whose labs work on an account (`Use(account=True)`). Reads only."""
    accounts = []
    for target in targets:
        if tools := target.account():
            public = target.settings.istio.ingress == "public"
            accounts.append(Account(target.name, azure_of(tools), public))
    return await examine_accounts(accounts)
