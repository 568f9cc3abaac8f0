"""Which fortio this stands in for: the version that the workshop pins."""

VERSION = "1.75.2"
USER_AGENT = f"fortio.org/fortio-{VERSION}"
