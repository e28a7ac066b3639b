# shellcheck shell=bash
# A Python environment with hashlab in it.

# need_python_environment EXTRAS: make .venv with the packages that requirements/ pins, "dev" with
# the tools of developers too. Install only when pyproject.toml or the pins have changed.
need_python_environment() {
    local extras="$1" stamp="$VENV/hashlab-installed" pins wanted
    pins="$PROJECT/requirements/${extras:-run}.txt"
    is_new_python "$VENV/bin/python" || make_environment
    wanted="$(cat "$PROJECT/pyproject.toml" "$PROJECT"/requirements/*.txt | cksum)"
    if grep -qxF "$wanted $PROJECT dev" "$stamp" 2> /dev/null ||
        grep -qxF "$wanted $PROJECT $extras" "$stamp" 2> /dev/null; then
        say "Python: $VENV is up to date"
        return
    fi
    say "Python: installing hashlab and what it needs into $VENV"
    rm -f "$stamp"
    "$VENV/bin/python" -m pip --version > /dev/null 2>&1 ||
        "$VENV/bin/python" -m ensurepip --default-pip > /dev/null
    pip_install --requirement "$pins"
    pip_install --no-deps --editable "$PROJECT"
    printf '%s\n' "$wanted $PROJECT $extras" > "$stamp"
}

pip_install() {
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 ||
        fail "pip could not install hashlab" "see its messages above; is the network there?"
}

is_new_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; }
can_make_environments() { "$1" -c 'import ensurepip, venv' 2> /dev/null; }

make_environment() {
    local python
    python="$(find_python)" || {
        get_python
        python="$(find_python)" || fail "no Python 3.11 or newer with venv is here" \
            "install one, or name one: HASHLAB_PYTHON=/path/to/python $0"
    }
    say "Python: making $VENV with $python"
    "$python" -m venv --clear "$VENV" >&2
}

# find_python: the first that is new enough and can make environments.
find_python() {
    local python
    for python in "${HASHLAB_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 python; do
        if [ -n "$python" ] && is_new_python "$python" && can_make_environments "$python"; then
            command -v "$python"
            return
        fi
    done
    return 1
}

get_python() {
    if ! have_apt; then
        fail "this laptop lacks Python 3.11 or newer" \
            "macOS: brew install python@3.12; elsewhere your system's package manager" \
            "then run this script again"
    elif is_new_python python3; then
        install_packages "python:python3-venv"
    else
        install_packages "python:python3.13-venv|python3.12-venv|python3.11-venv"
    fi
}
