"""The sandbox's own istioctl: the command line of the real one, for what a workshop types.

It is a separate program that talks to the cluster's API like any client (`python -m sandbox.istioctl`).
It refuses what it does not do, and any cluster that is not a sandbox. Only the standard library is imported up
front, so that a command answers at once.
"""
