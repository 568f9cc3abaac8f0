"""Fruit Smoothies: a page where fruit gets stars, and the API behind it, which keeps them in MongoDB."""

from sandbox.images.program import Factory
from sandbox.images.smoothies.ratings_api import RatingsApi
from sandbox.images.smoothies.ratings_web import RatingsWeb

PROGRAMS: dict[str, Factory] = {"ratings-api": RatingsApi, "ratings-web": RatingsWeb}
