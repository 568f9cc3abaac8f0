"""The page of `invoke watch` (see `live_document`). How large things are follows from how many members there are
and from the window (`fit` in the script). A member may be called what it likes."""

from workshop.console.live_document import document

WALL = document(__file__)
