"""The page of `invoke observe` (see `live_document`): the mesh as a graph, splits and marks beside it, and all of
it as a table below. Where nodes stand is in what it is told; how far apart follows from the window (`draw` in the
script)."""

from workshop.console.live_document import document

GRAPH = document(__file__)
