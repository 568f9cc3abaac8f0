"""What a client needs of the network it dials through."""

from __future__ import annotations

import socket
from typing import Protocol


class Dialer(Protocol):
    @property
    def sidecar(self) -> bool:
        """Whether a proxy takes all connections, and balances them."""

    def route(self, host: str, port: int) -> tuple[str, int]:
        """See `PodNetwork`."""

    async def connect(self, host: str, port: int) -> socket.socket:
        """See `PodNetwork`."""
