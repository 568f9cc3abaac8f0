"""The page of Fruit Smoothies: a card for each fruit with five buttons, one for each number of stars, and what
everybody likes best. Drawings and style sheet are files beside this one; nothing comes from anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

STARS = 5
WELCOME = "What goes into the blender next?"
Item = Mapping[str, Any]


class File(NamedTuple):
    content_type: str
    body: bytes


_FOLDER = Path(__file__).parent / "assets"
DRAWN = frozenset(file.stem for file in (_FOLDER / "fruits").glob("*.svg"))
STATIC = {
    "/static/smoothies.css": File("text/css", (_FOLDER / "smoothies.css").read_bytes()),
    **{
        f"/static/fruits/{name}.svg": File("image/svg+xml", (_FOLDER / "fruits" / f"{name}.svg").read_bytes())
        for name in DRAWN
    },
}

_STAR = "M12 1.8l3.1 6.6 7.1.9-5.2 5 1.3 7.1L12 17.9l-6.3 3.5L7 14.3l-5.2-5 7.1-.9z"
_WIDTH = 24 * STARS
_FIVE = "".join(f'<path transform="translate({24 * n} 0)" d="{_STAR}"/>' for n in range(STARS))

_HEAD = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fruit Smoothies</title>
<link rel="icon" type="image/svg+xml" href="static/fruits/smoothie.svg">
<link rel="stylesheet" href="static/smoothies.css">
</head>
<body>
<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>
<path id="star" d="{_STAR}"/>
<clipPath id="stars">{_FIVE}</clipPath>
</defs></svg>
<header><div class="wide"><a class="brand" href="./">
<img src="static/fruits/smoothie.svg" alt="" width="34" height="42">Fruit Smoothies</a></div></header>
<main class="wide">
"""


def menu(
    items: Sequence[Item],
    rated: Sequence[Item],
    pod: str,
    *,
    thanks: tuple[str, int] | None = None,
    welcome: str = WELCOME,
) -> bytes:
    """The page with everything on it. `thanks` is the id of an item that has just been given so many stars."""
    by_id = {one["id"]: one for one in rated}
    return "".join(
        (
            _HEAD,
            f'<section class="hero"><div><h1>{escape(welcome)}</h1>'
            "<p>Give stars to what you like. One click is enough.</p>"
            '</div><img src="static/fruits/smoothie.svg" alt="" width="170" height="210"></section>\n',
            '<ul class="cards">',
            *(
                _card(item, by_id.get(item["_id"]), thanks[1] if thanks and thanks[0] == item["_id"] else 0)
                for item in items
            ),
            "</ul>\n",
            _favourites(rated),
            _foot(pod, sum(one["votes"] for one in rated)),
        )
    ).encode()


def closed(why: str, pod: str) -> bytes:
    """The page when there is nothing to show; says why."""
    return "".join(
        (
            _HEAD,
            '<section class="closed" role="alert"><h1>The blender is out of order</h1>',
            f"<p>The ratings are not there at the moment:</p><p><code>{escape(why)}</code></p>",
            '<p><a class="again" href="./">Try again</a></p></section>\n',
            _foot(pod, None),
        )
    ).encode()


def _card(item: Item, rated: Item | None, just_given: int) -> str:
    name, fruit = escape(str(item["name"])), escape(str(item["_id"]))
    buttons = "".join(
        f'<button name="stars" value="{number}" aria-label="{_stars_in_words(number)} for {name}">'
        '<svg viewBox="0 0 24 24" aria-hidden="true"><use href="#star"/></svg></button>'
        for number in range(1, STARS + 1)
    )
    thanks = f'<p class="thanks" role="status">Thank you for {_stars_in_words(just_given)}!</p>'
    return (
        f'<li class="card {_drawing(item)}" id="fruit-{fruit}">'
        f'<img src="static/fruits/{_drawing(item)}.svg" alt="" width="150" height="150"><h2>{name}</h2>'
        f'<p class="average">{_average(rated)}</p>{thanks if just_given else ""}'
        f'<form method="post" action="rate"><input type="hidden" name="fruit" value="{fruit}">'
        f'<fieldset><legend>Your rating</legend><span class="buttons">{buttons}</span></fieldset></form></li>'
    )


def _drawing(item: Item) -> str:
    """The name of a drawing: that of the item's image when there is one of ours. What else an item may name is
    never fetched."""
    name = str(item.get("img", "")).rsplit("/", 1)[-1].rpartition(".")[0]
    return name if name in DRAWN else "smoothie"


def _average(rated: Item | None) -> str:
    if rated is None:
        return f"{_bar(0)}<span>No rating yet</span>"
    average, votes = rated["average"], rated["votes"]
    return f"{_bar(average)}<span><b>{average:.1f}</b> from {votes} rating{'' if votes == 1 else 's'}</span>"


def _bar(average: float) -> str:
    """Five stars, filled from the left as far as the average goes; the text beside them says the same."""
    full = round(_WIDTH * average / STARS)
    return (
        f'<svg class="stars" viewBox="0 0 {_WIDTH} 24" aria-hidden="true"><g clip-path="url(#stars)">'
        f'<rect class="empty" width="{_WIDTH}" height="24"/><rect class="full" width="{full}" height="24"/>'
        "</g></svg>"
    )


def _favourites(rated: Sequence[Item]) -> str:
    if not rated:
        return ""
    best = sorted(rated, key=lambda one: (-one["average"], -one["votes"], one["name"]))
    rows = "".join(
        f'<li><img src="static/fruits/{_drawing(one)}.svg" alt="" width="40" height="40">'
        f'<span class="name">{escape(str(one["name"]))}</span>'
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="full" width="{100 * one["average"] / STARS:.0f}" height="10"/></svg>'
        f"<b>{one['average']:.1f}</b></li>"
        for one in best
    )
    return f'<section class="favourites"><h2>Favourites</h2><ol>{rows}</ol></section>\n'


def _foot(pod: str, ratings: int | None) -> str:
    kept = "" if ratings is None else f", {ratings} rating{'' if ratings == 1 else 's'} kept by ratings-mongodb"
    return (
        f'</main>\n<footer><div class="wide">Page made by <code>{escape(pod)}</code>, which asks ratings-api{kept}'
        " &middot; Mesh Workshop</div></footer>\n</body></html>\n"
    )


def _stars_in_words(number: int) -> str:
    return f"{number} star{'' if number == 1 else 's'}"
