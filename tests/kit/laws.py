"""How hypothesis draws in these tests: the same examples in every run, so that a change's tests tell of the change;
another `--hypothesis-seed` draws others."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.internal.conjecture import providers

LAW = settings(deadline=None, derandomize=True, database=None)
"""No deadline: how long an example takes is the machine's."""

# It also draws the constants of whichever modules of ours are imported: another set in each worker, and after each
# change anywhere. To read them takes two processor seconds in each worker. There is no setting for it.
providers._get_local_constants = lambda: providers._local_constants
