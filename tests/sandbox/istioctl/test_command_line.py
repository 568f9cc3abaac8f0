"""Command lines as the real istioctl takes them, and what of it is refused."""

from __future__ import annotations

import pytest

from sandbox.istioctl.command_line import Flag, UsageError, parse
from sandbox.istioctl.commands import main

FLAGS = [
    Flag("set", "s", many=True),
    Flag("namespace", "n"),
    Flag("yes", "y", switch=True, default="false"),
    Flag("remote", switch=True, default="true"),
]


def test_flags_stand_anywhere_and_in_all_their_forms() -> None:
    found = parse(["a", "--set", "x=1", "--set=y=2", "-nfoo", "b", "-y", "--remote=false", "--", "-z"], FLAGS)
    assert found.words == ["a", "b", "-z"]
    assert found.all("set") == ["x=1", "y=2"]
    assert (found.text("namespace"), found.on("yes"), found.on("remote")) == ("foo", True, False)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["--set"], "flag needs an argument: --set"),
        (["-n"], "flag needs an argument: 'n' in -n"),
        (["--yes=maybe"], 'invalid argument "maybe"'),
    ],
)
def test_what_cannot_be_understood(argv: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", "\\(")):
        parse(argv, FLAGS)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["version", "--short"], "unsupported flag: --short: the real istioctl has it"),
        (["version", "--colour"], "unknown flag: --colour"),
        (["uninstall", "--purge", "--force"], "unsupported flag: --force"),
        (["uninstall", "--purge", "--set", "values.x=1"], "values.x"),
        (["uninstall", "--purge", "--set", "profile=none"], "none"),
        (["proxy-status", "--xds-address", "a"], "unsupported flag: --xds-address"),
        (["install", "--as", "me"], "unsupported flag: --as"),
        (["upgrade"], 'unsupported command "upgrade" for "istioctl": the real istioctl has it'),
        (["upgrades"], 'unknown command "upgrades" for "istioctl"'),
        (["x", "precheck", "-o", "json"], "unsupported shorthand flag: 'o' in -o"),
        (["analyze", "--failure-threshold=Info"], "unsupported flag: --failure-threshold"),
        (["proxy-config", "clusters", "--file", "dump.json"], "unsupported flag: --file"),
        (["proxy-config", "log", "deploy/a"], 'unsupported command "log" for "istioctl proxy-config"'),
        (["x", "metrics", "a"], 'unsupported command "metrics" for "istioctl x"'),
        (["x", "describe", "pod", "a", "--ignoreUnmeshed"], "unsupported flag: --ignoreUnmeshed"),
    ],
)
def test_what_there_is_not_is_refused_by_name(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 64
    assert words in capsys.readouterr().err
