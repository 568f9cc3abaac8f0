"""Everything the Azure labs made goes, last first; nothing else does. What carries the
workshop's tag in its groups goes too, whatever it is called: it may be from another
profile. What lacks the tag stays, and a group that holds such a thing stays with it.
"""

from workshop.runbook import Lab

LAB = Lab(
    name="azure.cleanup",
    title="Delete all of the above",
    text=__doc__,
    clean_up=True,
)
