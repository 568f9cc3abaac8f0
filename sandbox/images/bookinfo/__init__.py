"""Istio's BookInfo: one page made of four services, and reviews in three versions to tell apart."""

from sandbox.images.bookinfo.backends import Details, Ratings, reviews
from sandbox.images.bookinfo.productpage import ProductPage
from sandbox.images.program import Factory

PROGRAMS: dict[str, Factory] = {
    "examples-bookinfo-productpage-v1": ProductPage,
    "examples-bookinfo-details-v1": Details,
    "examples-bookinfo-ratings-v1": Ratings,
    "examples-bookinfo-reviews-v1": reviews(None),
    "examples-bookinfo-reviews-v2": reviews("black"),
    "examples-bookinfo-reviews-v3": reviews("red"),
}
