"""Why there was no answer, out of the texts that the SDK, urllib3 and the operating system wrap in each other.

It is read from the text because that is all there is: `az` prints the same text, and the SDK's credentials keep
nothing else of the error either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workshop.runbook.errors import WorkshopError

_HOST = re.compile(r"host='([^']+)'(?:, port=(\d+))?")
_WHY = (
    (r"Failed to resolve|NameResolutionError|getaddrinfo failed", "its name does not resolve (DNS)"),
    (r"\(connect timeout=([\d.]+?)(?:\.0)?\)", r"no connection within \1 s"),
    (r"\(read timeout=([\d.]+?)(?:\.0)?\)", r"no answer within \1 s"),
    (r"(certificate verify failed(?:: [^()]*[^() ])?)", r"\1"),
    (r"(Connection refused|Connection reset by peer|Remote end closed connection)", r"\1"),
    (r"\[Errno -?\d+\] ([^'\")]+)", r"\1"),
    (r"\[SSL[^\]]*\] ([^'\"()]*[^'\"() ])", r"\1"),
)


@dataclass(frozen=True, slots=True)
class Unreached:
    """`host` has its port unless that is HTTPS's own; it is empty when the text names none, or only a proxy."""

    host: str
    why: str

    @classmethod
    def read(cls, text: str) -> Unreached | None:
        """None when the text is not about a connection."""
        found = _HOST.search(text)
        host = "" if found is None else found[1] if found[2] in (None, "443") else f"{found[1]}:{found[2]}"
        why = next((match.expand(said) for pattern, said in _WHY if (match := re.search(pattern, text))), "")
        if why and "connect to proxy" in text:
            return cls("", f"the proxy that is set (HTTPS_PROXY): {why}")
        return cls(host, why) if why else None

    def __str__(self) -> str:
        return f"{self.host}: {self.why}" if self.host else self.why

    def worded(self, tried: str) -> WorkshopError:
        return WorkshopError(
            tried,
            str(self),
            cause="this machine does not reach it: network, DNS, proxy or firewall; or Azure is down",
            next_command=f"curl -I -m 10 https://{self.host}/" if self.host else "env | grep -i proxy",
        )
