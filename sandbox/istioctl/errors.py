"""What istioctl fails with. Exit statuses are the real one's (istioctl/cmd/errors.go)."""

from __future__ import annotations


class IstioctlError(Exception):
    """Ends the command: the message goes to stderr after "Error: "."""

    status = 1


class UsageError(IstioctlError):
    """A command line that cannot be understood, or that the sandbox's istioctl does not do."""

    status = 64


class FileError(IstioctlError):
    """A file that is not there or not what it should be."""

    status = 65


class IssuesFound(IstioctlError):
    """`analyze` found something at least as bad as its threshold."""

    status = 79
