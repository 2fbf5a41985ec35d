# Sourced by scripts/test and scripts/demo: makes .venv and installs into it what is not there yet.
# shellcheck shell=bash

die() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    exit 1
}

# Prints what is missing to build with interpreter $1 as the name of a Debian package; nothing when all is there.
missing_for() {
    local version
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if ! "$1" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "python$version-venv"
    elif ! "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'; then
        echo "python$version-dev"
    fi
}

# Prints the interpreter to use. A name on PATH proves nothing (version managers put shims there that only complain), so each
# candidate is run; the first that has all it takes to build wins, else the first that runs is named with what it lacks.
find_python() {
    local name candidate lacks first="" first_lacks=""
    for name in python3.12 python3.11 python3; do
        while IFS= read -r candidate; do
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null || continue
            lacks=$(missing_for "$candidate")
            if [ -z "$lacks" ]; then
                echo "$candidate"
                return
            fi
            if [ -z "$first" ]; then
                first=$candidate
                first_lacks=$lacks
            fi
        done < <(type -aP "$name")
    done
    [ -n "$first" ] || die "no Python 3.11 or 3.12 on PATH; install python3.11 or python3.12 (Debian, Ubuntu: apt install python3 python3-venv python3-dev)"
    die "$first cannot build the dependencies; install $first_lacks (apt install $first_lacks)"
}

# ensure_venv run|dev: .venv at the top of the checkout, with the package (editable) and, for dev, the tools of the tests.
# Installs only when pyproject.toml has changed since the last install, or when more is asked for than is there.
ensure_venv() {
    local want=$1 stamp=.venv/.vectron-installed python checksum have=""
    checksum=$(sha256sum pyproject.toml | cut -d' ' -f1)
    if [ -f "$stamp" ] && .venv/bin/python -c '' 2>/dev/null; then
        have=$(cat "$stamp")
        [ "${have#* * }" = "$PWD" ] || have="" # moved or copied here: its scripts name the old place
    fi
    if [ "$have" = "$checksum dev $PWD" ] || [ "$have" = "$checksum $want $PWD" ]; then
        return
    fi

    command -v g++ >/dev/null || die "no C++ compiler (hnswlib is built from source); install g++ (apt install g++)"
    if [ -z "$have" ]; then # none yet, half made, or made elsewhere
        python=$(find_python) || exit 1
        echo "making .venv with $python"
        rm -rf .venv
        "$python" -m venv .venv || die "$python -m venv failed"
    fi
    rm -f "$stamp"
    echo "installing (the first time, this builds hnswlib)"
    # Dependency groups need pip 25.1; a new venv has the pip of its Python.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' || die "pip could not be updated"
    if [ "$want" = dev ]; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[tui,parquet,bench]' --group dev || die "installation failed"
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[tui]' || die "installation failed"
    fi
    echo "$checksum $want $PWD" >"$stamp"
}
