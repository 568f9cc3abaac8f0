"""The nodes of the sandbox: pods' lives, their network, and what kubectl streams from them."""

from sandbox.node.node import Node

__all__ = ["Node"]
