"""Which version of reviews made a product page, told by its stars as a person would: none, black or red."""

from workshop.kubernetes.ingress import ThroughIngress, through_ingress
from workshop.traffic.probe import Category, Probe


def _page_with(stars: str) -> str:
    """A page with reviews and those stars. Pages of BookInfo before 1.19 colour them by a font element, later ones
    by a class."""
    return rf'(?s)^(?=.*Reviews served by)(?=.*(?:<font color="{stars}"|gap-x-1 text-{stars}-500))'


_NO_STARS = r"(?s)^(?=.*Reviews served by)(?!.*(?:<font color=|gap-x-1 text-\w+-500|unavailable))"

STARS = (
    Category("v1, no stars", _NO_STARS, "bright_black"),
    Category("v2, black stars", _page_with("black"), "white"),
    Category("v3, red stars", _page_with("red"), "red"),
)


def stars(shares: tuple[float, ...]) -> ThroughIngress:
    """The proof that v1, v2 and v3 get these shares of the requests from outside."""
    return through_ingress(Probe("Stars on the product page", "/productpage", STARS, shares))
