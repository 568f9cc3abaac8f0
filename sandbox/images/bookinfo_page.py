"""BookInfo's pages: what a person looks at to see which version of reviews answered.

Tutorials and tests look for some markers in them, and so these are as in Istio's own: the title, "Book
Details", "Book Reviews", "Reviews served by:", `glyphicon-star` for a full star and `glyphicon-star-empty` for
an empty one in a `font` element of the stars' colour (`text-red-500` is the newer pages' class for the same),
"Error fetching product reviews". Everything else is ours. The style sheet is the only other thing a browser
fetches.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

STARS = 5
CSS = (Path(__file__).parent / "assets" / "bookinfo.css").read_bytes()

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simple Bookstore App</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static/bookinfo.css">
</head>
<body>
<header><div class="wide"><a class="brand" href="productpage"><i></i>BookInfo</a>"""

_SIGN_IN = """<details class="account"><summary>Sign in</summary>
<form method="post" action="login">
<label>User name <input name="username" autocomplete="username" required></label>
<label>Password <input name="passwd" type="password" autocomplete="current-password"></label>
<button>Sign in</button>
</form></details>"""

_FOOT = (
    '</main>\n<footer><div class="wide">Mesh Workshop &middot; the BookInfo sample</div></footer>\n</body></html>\n'
)

_COVER = (
    '<div class="cover" aria-hidden="true"><span>William<br>Shakespeare</span>'
    "<b>The<br>Comedy<br>of Errors</b><i></i></div>"
)

_FIELDS = (
    ("author", "Author"),
    ("year", "Year"),
    ("type", "Type"),
    ("pages", "Pages"),
    ("publisher", "Publisher"),
    ("language", "Language"),
    ("ISBN-10", "ISBN-10"),
    ("ISBN-13", "ISBN-13"),
)


def product(
    book: Mapping[str, Any],
    details: Mapping[str, Any] | None,
    reviews: Mapping[str, Any] | None,
    user: str | None,
) -> bytes:
    """The product page; None stands for what could not be fetched."""
    account = (
        f'<div class="account"><span class="user">{escape(user)}</span> <a href="logout">Sign out</a></div>'
        if user
        else _SIGN_IN
    )
    return "".join(
        (
            _HEAD,
            account,
            '</div></header>\n<main class="wide">\n<section class="book">',
            _COVER,
            f'<div><h1>{book["title"]}</h1>\n<p class="summary">{book["descriptionHtml"]}</p>\n',
            _details(details),
            "</div></section>\n",
            _reviews(reviews),
            _FOOT,
        )
    ).encode()


def _details(details: Mapping[str, Any] | None) -> str:
    if details is None:
        return _error("details")
    rows = "".join(
        f"<div><dt>{label}</dt><dd>{escape(str(details[key]))}</dd></div>"
        for key, label in _FIELDS
        if key in details
    )
    return f"<h4>Book Details</h4>\n<dl>{rows}</dl>\n"


def _reviews(reviews: Mapping[str, Any] | None) -> str:
    if reviews is None:
        return f'<section class="reviews">{_error("reviews")}</section>\n'
    cards = "".join(_review(review) for review in reviews["reviews"])
    cluster = reviews.get("clustername", "null")
    where = f" on cluster <u>{escape(cluster)}</u>" if cluster != "null" else ""
    return (
        f'<section class="reviews"><h4>Book Reviews</h4>\n<div class="cards">{cards}</div>\n'
        f'<p class="served">Reviews served by: <u>{escape(reviews["podname"])}</u>{where}</p></section>\n'
    )


def _review(review: Mapping[str, Any]) -> str:
    rating = review.get("rating") or {}
    if "stars" in rating:
        full = max(0, min(STARS, rating["stars"]))
        color = escape(str(rating["color"]))
        shown = (
            f'<font color="{color}" class="stars text-{color}-500">'
            + '<span class="glyphicon glyphicon-star"></span>' * full
            + '<span class="glyphicon glyphicon-star-empty"></span>' * (STARS - full)
            + "</font>"
        )
    elif "error" in rating:
        shown = f'<p class="error">{escape(rating["error"])}</p>'
    else:
        shown = ""
    reviewer, text = escape(review["reviewer"]), escape(review["text"])
    return f"<blockquote>{shown}<p>{text}</p><small>{reviewer}</small></blockquote>"


def _error(what: str) -> str:
    return (
        f'<div class="missing"><h4>Error fetching product {what}!</h4>'
        f"<p>Sorry, product {what} are currently unavailable for this book.</p></div>"
    )
