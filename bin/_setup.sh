# Sourced by bin/demo, bin/serve and bin/test: finds Python, makes .venv, installs the pinned requirements.
# Sets `root` (the checkout) and `python` (the environment's). Needs python3 >= 3.11 and git; never root.

set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
python=$root/.venv/bin/python
# What the caller's own Python environment sets must not leak into ours.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV DJANGO_SETTINGS_MODULE
# Builds fetch packages with uv, which has certificates of its own; a company's are in the system's.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# pip and uv want a home directory; a missing one must not stop us.
if [ -z "${HOME:-}" ] || [ ! -d "$HOME" ]; then
    HOME=$root/var/home
    mkdir -p "$HOME"
    export HOME
fi

say() { printf '%s\n' "$*" >&2; }
die() { say "bin/$(basename -- "$0"): $*"; exit 2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "needs Python 3.11 or newer as python3; found: $(python3 --version 2>/dev/null || echo none)"
}

setup() {
    command -v git >/dev/null || die "needs git on the PATH"
    # The environment's scripts hold its path, so a moved checkout gets a new one.
    want="$(cksum <"$root/requirements.txt") $root"
    if [ -x "$python" ] && [ "$(cat "$root/.venv/.installed" 2>/dev/null)" = "$want" ]; then
        return
    fi
    if ! [ -x "$python" ] || ! new_enough "$python"; then
        base=$(find_python) || exit 2
        say "Creating .venv with $base ..."
        "$base" -m venv --clear "$root/.venv" ||
            die "cannot create .venv; on Debian and Ubuntu: apt install python3-venv"
    fi
    say "Installing requirements.txt into .venv (once) ..."
    "$python" -m pip install --quiet -r "$root/requirements.txt" || die "pip could not install requirements.txt"
    printf '%s' "$want" >"$root/.venv/.installed"
}
