"""BookInfo's pages: what a person looks at to see which version of reviews answered.

Tutorials and tests look for some markers in them, and so these are as in Istio's own: the title, "Book Details",
"Book Reviews", "Reviews served by:", `glyphicon-star` for a full star and `glyphicon-star-empty` for an empty one in
a `font` element of the stars' colour, "Error fetching product reviews". Everything else is ours. The style sheet is
the only other thing a browser fetches.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

STARS = 5

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
            f'<font color="{color}" class="stars">'
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


def index() -> bytes:
    """The start page: which services there are."""
    return (
        f'{_HEAD}</div></header>\n<main class="wide"><section class="book"><div><h1>BookInfo</h1>'
        '<p class="summary">One page, made by four services: <b>productpage</b> asks <b>details</b> and '
        "<b>reviews</b>; reviews v2 and v3 ask <b>ratings</b>.</p>"
        '<p><a class="button" href="productpage">To the product page</a></p></div></section>'
        f"{_FOOT}"
    ).encode()


CSS = b"""
:root { --ink: #1c2333; --soft: #5b6475; --line: #e3e7ef; --blue: #2f5fd0; --paper: #f5f7fb; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 17px/1.6 system-ui, "Segoe UI", Roboto, Helvetica, Arial,
  sans-serif; display: flex; flex-direction: column; min-height: 100vh; }
main { flex: 1; }
.wide { width: 100%; max-width: 1040px; margin: 0 auto; padding: 0 24px; }
header { background: #172033; color: #fff; }
header .wide { display: flex; align-items: center; justify-content: space-between; height: 64px; }
.brand { color: #fff; font-weight: 650; font-size: 20px; text-decoration: none; display: flex; gap: 12px;
  align-items: center; }
.brand i { width: 22px; height: 26px; border-radius: 2px 5px 5px 2px; background: #e9b949;
  border-left: 5px solid #b98519; }
.account { position: relative; font-size: 15px; }
.account a { color: #a9c0ff; margin-left: 12px; }
.user::before { content: ""; display: inline-block; width: 9px; height: 9px; margin-right: 9px; border-radius: 50%;
  background: #4fd08a; }
summary, button, .button { list-style: none; cursor: pointer; background: var(--blue); color: #fff; border: 0;
  border-radius: 8px; padding: 8px 18px; font: inherit; font-weight: 600; text-decoration: none; }
summary::-webkit-details-marker { display: none; }
.account form { position: absolute; right: 0; top: 48px; z-index: 2; width: 270px; padding: 20px; display: grid;
  gap: 14px; color: var(--ink); background: #fff; border: 1px solid var(--line); border-radius: 12px;
  box-shadow: 0 18px 45px #17203340; }
label { display: grid; gap: 4px; font-size: 14px; color: var(--soft); }
input { font: inherit; padding: 7px 10px; border: 1px solid #c8cfdd; border-radius: 7px; }
.book { display: flex; gap: 48px; padding: 52px 0 44px; }
.cover { position: relative; flex: 0 0 210px; height: 296px; padding: 26px 22px 0 32px; overflow: hidden;
  color: #fdf3dc; background: linear-gradient(90deg, #5d1722 14px, #7d2130 15px, #a12b3c); text-align: left;
  border-radius: 4px 10px 10px 4px; box-shadow: 0 20px 40px #17203338; font-family: Georgia, "Times New Roman", serif; }
.cover span { font-size: 14px; letter-spacing: .08em; line-height: 1.3; display: block; color: #eccb8b; }
.cover b { display: block; margin-top: 30px; font-size: 29px; line-height: 1.15; font-weight: 400; }
.cover i { position: absolute; right: 22px; bottom: 24px; width: 44px; height: 44px; border: 2px solid #eccb8b;
  border-radius: 50%; box-shadow: -16px 0 0 -2px #a12b3c, -16px 0 0 0 #eccb8b; }
h1 { margin: 0 0 10px; font-size: 42px; line-height: 1.15; letter-spacing: -.02em; }
h4 { margin: 0 0 14px; font-size: 21px; }
a { color: var(--blue); }
.summary { margin: 0 0 28px; max-width: 60ch; color: var(--soft); font-size: 18px; }
dl { margin: 0; display: grid; grid-template-columns: repeat(4, minmax(112px, auto)); gap: 16px 28px; }
dt { color: var(--soft); font-size: 13px; text-transform: uppercase; letter-spacing: .06em; }
dd { margin: 0; font-weight: 600; }
.reviews { padding: 40px 24px 44px; margin: 0 -24px; background: var(--paper); border-radius: 18px; }
.cards { display: grid; grid-template-columns: 1fr 1fr; gap: 24px; }
blockquote { margin: 0; padding: 24px 26px; background: #fff; border: 1px solid var(--line); border-radius: 14px; }
blockquote p { margin: 8px 0 14px; font-size: 18px; }
small { color: var(--soft); font-size: 15px; }
small::before { content: "\\2014\\00a0"; }
.stars { display: block; font-size: 27px; line-height: 1; letter-spacing: 3px; }
.glyphicon-star::before { content: "\\2605"; }
.glyphicon-star-empty::before { content: "\\2606"; }
.stars[color="red"] { color: #d81f2a; }
.served { margin: 22px 0 0; color: var(--soft); font-size: 15px; }
.served u { text-decoration: none; font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; font-size: 14px;
  color: var(--ink); background: #e6ebf6; padding: 3px 9px; border-radius: 6px; }
.missing { padding: 20px 24px; background: #fdeeee; border: 1px solid #f3c4c6; border-radius: 14px; }
.missing h4 { color: #b3202a; margin: 0 0 4px; }
.missing p { margin: 0; }
.error { color: #b3202a; font-size: 15px; }
footer { margin-top: 48px; padding: 20px 0; color: var(--soft); font-size: 14px; border-top: 1px solid var(--line); }
@media (max-width: 760px) { .book { flex-direction: column; gap: 30px; } .cards { grid-template-columns: 1fr; }
  dl { grid-template-columns: 1fr 1fr; } h1 { font-size: 34px; } }
"""
