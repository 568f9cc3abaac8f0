"""Which version of reviews made a product page, told by its stars as a person would: none, black or red."""

from dataclasses import dataclass

from workshop.kubernetes.ingress import ThroughIngress, through_ingress
from workshop.runbook.options import Word
from workshop.traffic.probe import Category, Probe
from workshop.traffic.side_requests import Login

SOMEBODY_ELSE = "somebody-else"


@dataclass(frozen=True, slots=True)
class User(Word):
    """One to be told from everybody else."""

    def problem(self, given: str | bool | None) -> str:
        if given == SOMEBODY_ELSE:
            return "that is who the user is compared with"
        return Word.problem(self, given)


def page_with(stars: str) -> str:
    """A page with reviews and those stars. Pages of BookInfo before 1.19 colour them by a font element, later ones
    by a class."""
    return rf'(?s)^(?=.*Reviews served by)(?=.*(?:<font color="{stars}"|gap-x-1 text-{stars}-500))'


NO_STARS = r"(?s)^(?=.*Reviews served by)(?!.*(?:<font color=|gap-x-1 text-\w+-500|unavailable))"

STARS = (
    Category("v1, no stars", NO_STARS, "bright_black"),
    Category("v2, black stars", page_with("black"), "white"),
    Category("v3, red stars", page_with("red"), "red"),
)


STARS_TELL = 'color="(black|red)"|text-(black|red)-500|Ratings service is currently unavailable'
"""What a page shows of it, for grep; v1's pages have none of it."""


def stars(shares: tuple[float, ...], user: str = "", at_once: int = 16) -> ThroughIngress:
    """The proof that v1, v2 and v3 get these shares of the requests from outside, or of those of one user."""
    of_user = f", logged in as {user}" if user else ""
    alone = ", one page after the other" if at_once == 1 else ""
    return through_ingress(
        Probe(
            f"Stars on the product page{of_user}{alone}",
            "/productpage",
            STARS,
            shares,
            login=login(user),
            concurrency=at_once,
            telling=STARS_TELL,
        )
    )


def login(user: str) -> Login | None:
    """As the page's form does it; any password will do."""
    return Login("/login", (("username", user), ("passwd", ""))) if user else None
