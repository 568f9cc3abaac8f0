"""MongoDB: keeps documents, and speaks to drivers as the real one does, as far as Fruit Smoothies needs it."""

from sandbox.images.mongo.mongod import Mongo
from sandbox.images.program import Factory

PROGRAMS: dict[str, Factory] = {"mongo": Mongo}
