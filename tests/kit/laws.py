"""How hypothesis draws in these tests: the same examples in every run, so that a change's tests tell of the change;
another `--hypothesis-seed` draws others."""

from __future__ import annotations

from hypothesis import settings

LAW = settings(deadline=None, derandomize=True, database=None)
"""No deadline: how long an example takes is the machine's."""
