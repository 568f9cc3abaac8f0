#!/bin/sh
# Sets the workshop up from this folder alone, without a network:
#     sh start.sh          and then says what to type
#     sh start.sh lab      and then types `invoke lab`, or whatever else it is given
#     PYTHON=/opt/python3.12/bin/python3 sh start.sh      with that Python
set -u
unset CDPATH PYTHONHOME PYTHONPATH

platforms='@platforms@'
pythons='@pythons@'
content='@content@'
pip='@pip@'
pip_sha256='@pip_sha256@'
saved='@saved@'
saved_sha256='@saved_sha256@'

# stop STATUS WHAT LINE...: what is wrong, and below it what to do
stop() {
    status=$1
    printf '\n%s\n' "$2" >&2
    shift 2
    for line; do printf '    %s\n' "$line" >&2; done
    exit "$status"
}

quoted() {
    printf "'"
    printf '%s' "$1" | sed "s/'/'\\\\''/g"
    printf "'"
}

here=$(cd -- "$(dirname -- "$0")" && pwd) || exit 2
workshop=$here/mesh-workshop
wheels=$here/wheels
venv=$workshop/.venv
log=$here/start.log
if ! [ -f "$workshop/requirements.lock" ] || ! [ -d "$wheels" ]; then
    stop 2 "The workshop's files are not beside $0." \
        "Unpack the whole archive, and run start.sh where it lies then."
fi

again="sh $(quoted "$here/start.sh")"
damaged() {
    stop 1 "$1 is damaged, or not the file that was packed." \
        "Copy the archive once more, compare its SHA-256 with the one that the instructor has," \
        "unpack it and type: $again"
}

# What a Python says of itself: "fits", or why it does not. Also a Python 2 can read this.
fits='
import platform, sys
platforms, pythons = sys.argv[1].split(), sys.argv[2].split()
version = "%d.%d" % sys.version_info[:2]
system = {"darwin": "macos", "linux2": "linux"}.get(sys.platform, sys.platform)
here = "%s-%s" % (system, platform.machine())
if platform.python_implementation() != "CPython" or "t" in getattr(sys, "abiflags", ""):
    version = "of a kind without wheels (%s %s)" % (platform.python_implementation(), version)
if sys.maxsize < 2 ** 32:
    here += ", 32 bits"
library = platform.libc_ver() if system == "linux" else ("glibc", "9")
if version not in pythons:
    print("it is Python %s" % version)
elif here not in platforms:
    print("it is for %s" % here)
elif library[0] != "glibc":
    print("its C library is not glibc, for which the wheels are")
elif [int(part) for part in library[1].split(".")[:2]] < [2, 31]:
    print("its glibc is %s, and Envoy needs 2.31" % library[1])
else:
    print("fits")
'
find_python() {
    tried=
    if [ -n "${PYTHON-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3
        for version in $pythons; do set -- "$@" "python$version"; done
    fi
    for python; do
        command -v "$python" >/dev/null 2>&1 || continue
        said=$("$python" -c "$fits" "$platforms" "$pythons" 2>/dev/null </dev/null) || continue
        [ "$said" = fits ] && return
        tried="${tried:+$tried, }$python ($said)"
    done
    stop 2 "There is no Python here that this bundle is for: ${tried:-none starts}." \
        "It has wheels for: $platforms; Python: $pythons." \
        "Install one of these (apt install python3, dnf install python3.12) and type:" \
        "    $again" \
        "or name one that is elsewhere: PYTHON=/path/to/python3 $again" \
        "or ask for a bundle for this machine: invoke bundle --platforms ... --pythons ..."
}

is_whole() { # FILE SHA-256
    "$venv/bin/python" -c '
import hashlib, sys
sys.exit(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest() != sys.argv[2])' "$1" "$2" 2>/dev/null
}

failed() {
    if grep -q 'DO NOT MATCH THE HASHES\|is not a valid wheel\|Bad CRC\|BadZipFile' "$log"; then
        damaged "A file in $wheels"
    elif grep -q 'No matching distribution' "$log"; then
        stop 1 "$(sed -n 's/^ERROR: No matching/There is no matching/p' "$log")." \
            "The bundle has wheels for: $platforms; Python: $pythons; macOS from 15 on." \
            "If this machine is one of these, copy and unpack the archive once more."
    fi
    tail -n 5 "$log" >&2
    stop 1 "The workshop could not be set up in $venv." \
        "Above is the end of $log." \
        "Is there room on that disk (df -h), and is it one that can be written and has links (no USB stick)?" \
        "If not, copy the folder $here to another one, and type there: sh start.sh"
}

if [ "$(cat "$venv/bundle" 2>/dev/null)" = "$content $workshop" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    echo "The workshop is set up already."
else
    find_python
    echo "Setting up with $(command -v "$python"), without a network: this takes up to a minute ..."
    ( : >"$log" ) 2>/dev/null ||
        stop 1 "$here cannot be written." "Copy the folder to where it can be, and type there: sh start.sh"
    "$python" -m venv --clear --without-pip "$venv" >"$log" 2>&1 || failed
    is_whole "$wheels/$pip" "$pip_sha256" || damaged "$wheels/$pip"
    PIP_CONFIG_FILE=/dev/null "$venv/bin/python" "$wheels/$pip/pip" --isolated --no-input \
        --disable-pip-version-check --no-cache-dir install --no-index --find-links "$wheels" --no-deps \
        --require-hashes --no-warn-script-location --no-compile \
        -r "$workshop/requirements.lock" -r "$wheels/pip.lock" >"$log" 2>&1 </dev/null || failed
    printf '%s %s\n' "$content" "$workshop" >"$venv/bundle" || failed
    rm -f "$log"
fi

cd "$workshop" || exit 1
if [ -n "$saved" ]; then
    is_whole "$here/saved/$saved" "$saved_sha256" || damaged "$here/saved/$saved"
    load="invoke sandbox.load $(quoted "../saved/$saved")"
    if .venv/bin/invoke sandbox.status >/dev/null 2>&1; then
        echo "The sandbox runs, and is left as it is. Back to the state that came with it: $load"
    elif ! .venv/bin/invoke sandbox.load "../saved/$saved" --yes; then
        stop 1 "The saved state could not be loaded; all else is set up." \
            "Without it: cd $(quoted "$workshop") && .venv/bin/invoke lab"
    fi
fi

if [ $# -gt 0 ]; then exec .venv/bin/invoke "$@"; fi
cat <<END

Ready. Type:

    cd $(quoted "$workshop")
    . .venv/bin/activate
    invoke --list      the table of contents
    invoke lab         all of it; README.md says more
END
if [ -n "$saved" ]; then echo "    invoke status      where the labs are in the saved state"; fi
