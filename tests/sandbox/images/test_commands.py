"""Commands in a container: the shell and what it can call."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.images import commands
from sandbox.images.commands.syntax import SyntaxRefused, parse
from sandbox.images.container_files import Files
from sandbox.images.program import Container, Streams


def box() -> Container:
    """A container without a network."""
    pod = {"metadata": {"name": "box", "namespace": "default"}}
    env = {"PATH": "/bin", "WHO": "me", "EMPTY": ""}
    return Container(pod, {"name": "main", "image": "busybox"}, env, Files(), None, Streams())  # type: ignore[arg-type]


async def run(*command: str, stdin: str = "", container: Container | None = None) -> tuple[int, str, str]:
    out, err = bytearray(), bytearray()
    streams = Streams(asyncio.StreamReader(), out.extend, err.extend)
    streams.stdin.feed_data(stdin.encode())
    streams.stdin.feed_eof()
    async with asyncio.timeout(60):
        status = await commands.run(list(command), container or box(), streams)
    return status, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("echo a b   c", "a b c"),
        ("echo 'a  b' \"c  $WHO\" d\\ e", "a  b c  me d e"),
        ("echo $WHO-${WHO}-${NONE:-none}-$NONE-", "me-me-none--"),
        ("echo '$WHO' \"\\$WHO\" \\$WHO", "$WHO $WHO $WHO"),
        ("x='a b'; for w in $x \"$x\"; do echo [$w]; done", "[a]\n[b]\n[a b]"),
        ("echo $(echo one; echo two) `echo three`", "one two three"),
        ('echo "$(echo one; echo two)"', "one\ntwo"),
        ("echo $((1 + 2 * 3)) $((7 / 2)) $((7 % 4))", "7 3 3"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done", "1\n2\n3"),
        ("until true; do echo never; done; echo done", "done"),
        ("for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done", "1\n3"),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b"),
        ("true && echo yes || echo no; false && echo yes || echo no", "yes\nno"),
        ("! false && echo inverted", "inverted"),
        ("false; echo $?; (exit 4); echo $?", "1\n4"),
        ("x=1; (x=2); echo $x; { x=3; }; echo $x", "1\n3"),
        ("A=1 env | grep ^A=; echo $A", "A=1\n"),
        ("printenv WHO; printenv NONE WHO || echo none; A=1 printenv | grep ^A=", "me\nme\nnone\nA=1"),
        ("B=2; env | grep -c ^B=; export B; env | grep ^B=", "0\nB=2"),
        ("echo out; echo err >&2", "out"),
        ("echo err >&2 2>/dev/null; { echo e >&2; } 2>&1 | cat", "e"),
        ("echo one > /f; echo two >> /f; cat < /f; cat /f | wc -l", "one\ntwo\n2"),
        ("cd /etc 2>/dev/null || echo no; pwd", "no\n/"),
        ("read a b; echo $b-$a", "y z-x"),
        ("while read line; do echo got $line; done", "got x y z"),
        ("# nothing\necho a # b\n\necho c", "a\nc"),
        ("echo a; exit 3; echo b", "a"),
        ('echo "it\'s" \'say "x"\'', 'it\'s say "x"'),
        ("nothing; echo $?", "127"),
        ('[ -n "$WHO" ] && [ -z "$EMPTY" ] && test 2 -gt 1 && echo ok', "ok"),
        ("sh -c 'echo $0 $1 $# \"$@\"' sh a 'b c'", "sh a 2 a b c"),
        ("seq 3 | sort -rn | head -n 2", "3\n2"),
        ("for w in b a b; do echo $w; done | sort | uniq -c", "      1 a\n      2 b"),
        ("echo -e 'b\\na\\nb' | sort -u; seq 1 2 5 | tail -1", "a\nb\n5"),
        ("echo v1 v2 | grep -o 'v[0-9]'; echo a.b | grep -oE '(a|b)+'", "v1\nv2\na\nb"),
        (
            "echo 'a(b' | grep -c 'a(b'; echo ab | grep -o 'a\\(b\\|c\\)'; echo x | grep -v x || echo none",
            "1\nab\nnone",
        ),
        ("basename=x; hostname; cut || echo none", "box\nnone"),
        ("date +%s | wc -l; date -u +%Y | grep -c 20", "1\n1"),
        ("echo a > /copy; cat /copy; ls / | grep copy; cat /none 2>/dev/null || echo gone", "a\ncopy\ngone"),
        ("false | true; echo $?; sleep 9 | true; echo $?", "0\n0"),
        ("x=$(false); echo $?; x=$(exit 3) y=2; echo $?; false; x=$?; echo $? $x", "1\n3\n0 1"),
        ("sh -e -c 'echo a; false; echo b'; echo $?", "a\n1"),
    ],
)
async def test_the_shell_does_what_a_shell_does(script: str, output: str) -> None:
    _, out, _ = await run("sh", "-c", script, stdin="x y z\n")
    assert out.rstrip("\n") == output.rstrip("\n")


async def test_the_status_is_that_of_the_last_command_or_exit() -> None:
    assert (await run("sh", "-c", "false"))[0] == 1
    assert (await run("sh", "-c", "exit 42"))[0] == 42
    assert (await run("bash", "-c", "true"))[0] == 0
    assert (await run("/bin/sh", "-ec", "exit 3"))[0] == 3


@pytest.mark.parametrize(
    ("script", "reached"),
    [
        ("false", False),
        ("(exit 3)", False),
        ("true | false", False),
        ("false | true", True),
        ("true && false", False),
        ("false && true", True),
        ("false || false", False),
        ("false || true", True),
        ("! true", True),
        ("{ false; true; }", False),
        ("{ false; true; } || true", True),
        ("(false; true) && true", True),
        ("if false; then :; fi", True),
        ("while false; do true; done", True),
        ("for i in 1; do false; done", False),
        ("for i in 1 2; do [ $i = 2 ] && false; done", False),
        ("for i in 1; do [ $i = 2 ] && true; done", True),
        ("x=$(false)", False),
        ("nothing", False),
    ],
)
async def test_with_e_the_first_failure_that_nobody_asks_about_ends_the_shell(script: str, reached: bool) -> None:
    """As dash 0.5.12 does, and POSIX says (Shell & Utilities, 2.15, `set -e`)."""
    for arguments in (("-ec", f"{script}; echo reached"), ("-e", "-c", f"{script}\necho reached")):
        status, out, _ = await run("sh", *arguments)
        assert (out, status == 0) == (("reached\n", True) if reached else ("", False))
    assert (await run("sh", "-c", f"{script}; echo reached"))[1] == "reached\n"


async def test_e_holds_for_files_and_standard_input() -> None:
    container = box()
    container.files.write("/run.sh", b"echo $1; false; echo never\n")
    assert (await run("sh", "-e", "/run.sh", "arg", container=container))[:2] == (1, "arg\n")
    assert (await run("sh", "-e", stdin="echo one\nfalse\necho never\n"))[:2] == (1, "one\n")


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(["-x", "-c", "true"], "-x"), (["-exc", "true"], "-x"), (["-uc", "true"], "-u"), (["--posix"], "--")],
)
async def test_an_option_of_sh_that_is_not_there_is_refused_by_name(arguments: list[str], option: str) -> None:
    status, _, err = await run("sh", *arguments)
    assert (status, f"option {option} is not supported" in err) == (2, True)


async def test_a_script_may_come_from_standard_input_or_a_file() -> None:
    assert (await run("sh", stdin="echo one\nif true\nthen echo two\nfi\n"))[1] == "one\ntwo\n"
    container = box()
    container.files.write("/run.sh", b"echo $1\n")
    assert (await run("sh", "/run.sh", "arg", container=container))[1] == "arg\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sleep 1 &", "background"),
        ("f() { echo; }", "functions"),
        ("cat <<END\nEND", "here-documents"),
        ("case x in x) echo;; esac", "case is not supported"),
        ("echo ${x%y}", "not supported"),
        ("echo 'open", "unterminated"),
        ("if true; then echo", "end of file"),
        ("echo )", "unexpected"),
    ],
)
async def test_what_the_shell_does_not_know_is_refused_by_name(script: str, reason: str) -> None:
    with pytest.raises(SyntaxRefused, match=reason):
        parse(script)
    status, _, err = await run("sh", "-c", script)
    assert (status, "syntax error" in err) == (2, True)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("while true; do while true; do break 2; done; done", "break 2"),
        ("for i in 1; do continue 2; done", "continue 2"),
        ("read -p name x", "read -p"),
        ("export -p", "export -p"),
        ("unset -f x", "unset -f"),
    ],
)
async def test_what_a_built_in_command_does_not_do_is_refused_by_name(script: str, reason: str) -> None:
    status, _, err = await run("sh", "-c", script)
    assert (status, f"{reason} is not supported" in err) == (2, True)


async def test_a_refusal_is_seen_wherever_it_comes_and_ends_no_typed_session() -> None:
    _, out, err = await run("sh", "-c", "echo $((1.5)) | cat; echo on")
    assert (out, "arithmetic" in err) == ("on\n", True)
    status, out, err = await run("sh", stdin="echo $((1.5))\necho on\nexit x\n")
    assert (status, out, "arithmetic" in err, "Illegal number: x" in err) == (2, "on\n", True, True)


async def test_arithmetic_is_only_arithmetic() -> None:
    status, _, err = await run("sh", "-c", "echo $((__import__('os').getpid()))")
    assert (status, "arithmetic" in err) == (2, True)


async def test_an_unknown_command_names_the_known_ones() -> None:
    with pytest.raises(commands.NotFound, match=r'"vi": executable file not found.*curl'):
        await run("vi")


@pytest.mark.parametrize(
    "command", [["ls", "-Z"], ["ls", "-l"], ["grep"], ["date", "--iso"], ["sleep", "x"], ["head", "-n", "x"]]
)
async def test_an_unknown_option_is_refused(command: list[str]) -> None:
    status, _, err = await run(*command)
    assert status == 2
    assert err.startswith(f"{command[0]}: ")


async def test_a_loop_lets_others_run_and_can_be_cancelled() -> None:
    looping = asyncio.create_task(run("sh", "-c", "while true; do true; done"))
    await asyncio.sleep(0.01)
    looping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looping


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--retry", "3", "x"], "retry"),
        (["--proxy", "x", "y"], "--proxy"),
        (["-u", "a:b", "y"], "-u"),
        (["-c", "/jar", "y"], "-c"),
        (["-b", "/jar", "y"], "file of cookies"),
        (["-w", "%{time_namelookup}", "x"], "time_namelookup"),
        (["-m", "soon", "x"], "option m: expected a proper numerical parameter"),
        (["--connect-timeout", "soon", "x"], "option connect-timeout: expected"),
    ],
)
async def test_curl_refuses_what_it_does_not_do(arguments: list[str], option: str) -> None:
    status, _, err = await run("curl", *arguments)
    assert (status, option in err) == (2, True)


def test_files_are_mounted_over_a_root() -> None:
    files, shared = Files(), {"a": b"1", "deep/b": b"2"}
    files.mount("/data", shared)
    files.mount("/data/fixed", {"c": b"3"}, read_only=True)
    files.write("/data/new", b"4")
    assert shared["new"] == b"4"
    assert files.entries("/data") == ["a", "deep", "fixed", "new"]
    assert files.entries("/") == ["data"]
    assert files.is_directory("/data/deep")
    assert not files.is_directory("/data/a")
    with pytest.raises(OSError, match="Read-only"):
        files.write("/data/fixed/c", b"")
    with pytest.raises(FileNotFoundError):
        files.read("/data/none")
    with pytest.raises(IsADirectoryError):
        files.read("/data")
