"""The sandbox's own istioctl: the command line of the real one, for what a workshop types.

It is a separate program that talks to the cluster's API like any client (`python -m sandbox.istioctl`).
It refuses what it does not do, and any cluster that is not a sandbox. A command's module is imported when it is
used, so that it answers at once.
"""
