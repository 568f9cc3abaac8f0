"""HTML as it is put together: what is text is escaped, and only what `tag` has made is not.

    tag("p", "1 < 2 ", tag("b", "always"), class_="note")

One page, nothing from elsewhere: the style is in it, there is no script, and a policy in its head has the browser
refuse whatever is neither. It is read on a screen, dark or light, wide or narrow, on paper, and by ear.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


class Markup(str):
    """Finished."""

    __slots__ = ()


Child = str | None | Sequence["Child"]

_VOID = frozenset({"meta", "link", "br", "hr", "rect", "line", "path", "circle"})
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Without what neither HTML nor XML can hold, such as a terminal's control characters."""
    return _NO_TEXT.sub("\ufffd", text)


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """`class_` and the like lose their last sign, and `_` becomes a dash. What is None or False is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(plain(str(value)))}"'
        if value is not True
        else f" {key.rstrip('_')}"
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    parts: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(html.escape(plain(child), quote=False))
        elif child is not None:
            parts.append(joined(*child))
    return Markup("".join(parts))


_IN_CODE = re.compile(r"(`[^`\n]+`)")


def prose(text: str) -> Markup:
    """Text in which what stands between two backticks is code."""
    parts = _IN_CODE.split(text)
    return joined([tag("code", part[1:-1]) if place % 2 else part for place, part in enumerate(parts)])


def listed(facts: Iterable[tuple[str, Child]], class_: str = "facts") -> Markup:
    """What each is, and what it is here; nothing of what is empty."""
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts if value]
    return tag("dl", rows, class_=class_)


def table(heads: Sequence[str], rows: Iterable[Sequence[Child]], class_: str, caption: str = "") -> Markup:
    """The first cell of a row heads it."""
    return tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", tag("tr", [tag("th", head, scope="col") for head in heads])),
        tag(
            "tbody",
            [tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]]) for row in rows],
        ),
        class_=class_,
    )


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, contents: Child, body: Child, *, made_by: str, style: str = "") -> str:
    """`contents` is a list of links; `made_by` goes into the head, by which the file is known again."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=made_by),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(_STYLE + style)),
    )
    return (
        "<!doctype html>\n"
        + tag(
            "html",
            head,
            "\n",
            tag(
                "body",
                tag("a", "To the content", href="#content", class_="skip"),
                tag("nav", tag("h2", "Contents"), contents, aria_label="Contents"),
                tag("main", body, id="content", tabindex="-1"),
            ),
            lang="en",
        )
        + "\n"
    )


def links(entries: Iterable[tuple[str, Child, Sequence[tuple[str, Child]]]]) -> Markup:
    """To headings by their ids, each with those under it."""
    return tag(
        "ol",
        [
            tag(
                "li",
                tag("a", text, href=f"#{id_}"),
                tag("ol", [tag("li", tag("a", inner, href=f"#{to}")) for to, inner in below]) if below else None,
            )
            for id_, text, below in entries
        ],
    )


_STYLE = """
:root {
  --paper: #ffffff; --ink: #1c2128; --dim: #57606a; --line: #d0d7de; --soft: #f3f5f8; --link: #0a58ca;
  --good: #1a7037; --bad: #b3261e; --doubt: #8a5a00; --good-soft: #e3f4e8; --bad-soft: #fbe9e7;
  --doubt-soft: #fdf2d8; --bar: #1f7a8c; --band: #9fb3c8; --mark: #1c2128;
  --blue: #2f6fd0; --green: #2e8b4f; --red: #c9372c; --yellow: #b58a00; --grey: #8b949e; --black: #3b434d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181e; --ink: #e3e8ee; --dim: #9aa5b1; --line: #353d47; --soft: #1d232b; --link: #7ab3ff;
    --good: #6fce8d; --bad: #ff8a80; --doubt: #f0c35c; --good-soft: #17301f; --bad-soft: #3a1d1b;
    --doubt-soft: #352b12; --bar: #56b6c8; --band: #4d5b6b; --mark: #f5f7fa;
    --blue: #6ea4ff; --green: #66c588; --red: #f2766b; --yellow: #e6c05a; --grey: #8b949e; --black: #a5afba;
  }
}
* { box-sizing: border-box; }
html { font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; }
body { margin: 0; background: var(--paper); color: var(--ink); }
main { max-width: 64rem; margin: 0 auto; padding: 1.5rem 1.5rem 4rem; }
main:focus { outline: none; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.4rem; margin: 2.5rem 0 0.75rem; padding-bottom: 0.25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 1.75rem 0 0.5rem; }
h4 { font-size: 1rem; margin: 1.25rem 0 0.4rem; }
p { margin: 0.5rem 0; max-width: 46rem; }
a { color: var(--link); }
a:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: 0.75rem 1rem;
  font-size: 0.84rem; line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.6rem 0; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: 0.5rem; z-index: 1; }
nav h2 { border: 0; font-size: 0.8rem; margin: 0; padding: 0; color: var(--dim); text-transform: uppercase;
  letter-spacing: 0.06em; }
nav { padding: 1.5rem 1.5rem 0; max-width: 64rem; margin: 0 auto; font-size: 0.9rem; }
nav ol { list-style: none; margin: 0; padding: 0; }
nav ol ol { padding-left: 0.9rem; }
nav li { margin: 0.15rem 0; }
nav a { text-decoration: none; overflow-wrap: anywhere; }
nav a:hover { text-decoration: underline; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.25rem; margin: 0.75rem 0; }
.facts div { display: contents; }
.facts dt { color: var(--dim); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: 0.6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.35rem 0.75rem 0.35rem 0; vertical-align: top; overflow-wrap: anywhere;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--dim); font-size: 0.82rem; font-weight: 500; }
tbody th { font-weight: 600; }
caption { text-align: left; color: var(--dim); font-size: 0.9rem; padding: 0.4rem 0; }
.dim { color: var(--dim); }
svg { display: block; max-width: 100%; }
@media (min-width: 1500px) {
  body { display: grid; grid-template-columns: 19rem minmax(0, 66rem); justify-content: center; gap: 0 2rem; }
  nav { position: sticky; top: 0; max-height: 100vh; overflow-y: auto; align-self: start; margin: 0; }
  main { margin: 0; width: 100%; }
}
@media (max-width: 1499px) { nav > ol { columns: 14rem; } }
@media (max-width: 600px) {
  main, nav { padding-left: 1rem; padding-right: 1rem; }
  nav ol ol { display: none; }
  h1 { font-size: 1.5rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dt { margin-top: 0.4rem; font-size: 0.85rem; }
  th, td { padding-right: 0.4rem; font-size: 0.85rem; }
  pre { padding: 0.6rem; }
}
@page { size: A4; margin: 16mm 14mm; }
@media print {
  :root {
    --paper: #ffffff; --ink: #000000; --dim: #4a4a4a; --line: #c4c4c4; --soft: #f6f6f6; --link: #000000;
    --good: #14602d; --bad: #9b1c14; --doubt: #704900; --good-soft: #e9f5ec; --bad-soft: #fbeceb;
    --doubt-soft: #fdf4df; --bar: #1f7a8c; --band: #b8c4d0; --mark: #000000;
    --blue: #2f6fd0; --green: #2e8b4f; --red: #c9372c; --yellow: #b58a00; --grey: #8b949e; --black: #3b434d;
  }
  html { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { display: block; }
  main, nav { max-width: none; padding: 0; }
  nav { position: static; max-height: none; margin-bottom: 1.5rem; }
  nav li { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  tr, .keep, svg { break-inside: avoid; }
  .skip { display: none; }
  a { text-decoration: none; }
}
"""
