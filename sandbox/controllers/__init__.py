"""What makes a cluster act: small controllers, each with a queue of its own, over the in-process API."""

from sandbox.controllers.run import run

__all__ = ["run"]
