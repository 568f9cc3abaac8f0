"""An answer that nobody expected, in a few readable words."""

from __future__ import annotations

import pytest

from workshop.traffic.client import excerpt

HEAD = '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><style>p {color: red}</style>'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            HEAD + "<title>\n Simple Bookstore\n App</title></head><body><p>Hello</p></body></html>",
            "Simple Bookstore App",
        ),
        (HEAD + "</head><body><h1>Not &amp; found</h1><p>Try again</p></body></html>", "Not & found Try again"),
        (HEAD + "<title></title><script>if (a < b) {}</script><p>Hello</p></html>", "Hello"),
        ("<HTML><p>" + "word " * 40, ("word " * 40)[:59] + "…"),
        ("no healthy\nupstream", "no healthy upstream"),
        ('{"a": "<title>b</title>"}', '{"a": "<title>b</title>"}'),
        ("x" * 300, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_a_page_is_its_title_or_its_text_and_other_text_its_beginning(body: str, said: str) -> None:
    assert excerpt(body.encode()) == said


def test_what_is_no_text_is_still_told() -> None:
    assert excerpt(b"\xff\xfe") == "\ufffd\ufffd"
