"""A class: several attendees, each with a cluster, and one instructor who looks after all of them.

A member is a state folder: everything that a call keeps for itself (journal, kubeconfig, sandbox, downloads) is
kept for each member in a folder of its own. So what there is for one works for a member unchanged, and whatever is
not there for a class can be typed for one member by naming that folder (INVOKE_STATE).

Below this package nobody knows of classes. All members are served by one process and one event loop.
"""
