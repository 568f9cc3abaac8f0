"""The SDK's understanding of long-running operations, without its waiting.

A poller of the SDK is given this method: it analyses the first answer as always, hands the continuation token over
before anything else happens, and then does nothing until it is told to ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.polling.base_polling import BadResponse, BadStatus
from azure.mgmt.core.polling.arm_polling import ARMPolling


class LroPolling(ARMPolling):
    """`interval` is the seconds between two questions when an answer names none. `accepted` is given the token of
    an operation that goes on."""

    def __init__(self, interval: float, accepted: Callable[[str], object] | None = None) -> None:
        super().__init__(interval)
        self._accepted = accepted

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        super().initialize(client, initial_response, deserialization_callback)
        if self._accepted and not self.finished():
            self._accepted(self.get_continuation_token())

    def run(self) -> None:
        """The poller's thread has nothing to do."""

    @property
    def state(self) -> str:
        return str(self.status())

    @property
    def failed(self) -> bool:
        return self.state.lower() in ("failed", "canceled", "cancelled")

    @property
    def delay(self) -> float:
        return float(self._extract_delay())

    @property
    def outcome(self) -> Any:
        """The body of the last answer."""
        with contextlib.suppress(ValueError):
            return self._pipeline_response.http_response.json()
        return {}

    def poll(self) -> None:
        """One poll. Raises HttpResponseError for an answer that is an error."""
        try:
            self.update_status()
        except (BadStatus, BadResponse) as error:
            response = self._pipeline_response.http_response
            raise HttpResponseError(message=str(error), response=response, error=error) from error
