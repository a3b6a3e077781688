# Sourced by every case's make.sh and check.sh; HERE is the case's own directory.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)

# To make a project

project() { # project DIR: an empty repository, and the current directory
    mkdir -p "$1" && cd "$1" && git init -q -b main .
    printf '%s\n' .venv/ node_modules/ __pycache__/ '*.egg-info/' build/ .state/ '*.sqlite3' '*.db' .coverage \
        .mypy_cache/ .ruff_cache/ .pytest_cache/ >.gitignore
}
put() { # put FILE [MODE] < text
    mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "${2:-644}" "$1"
}
commit() { # commit MESSAGE [DATE]
    local date=${2:-2026-05-04T09:30:00+0000}
    git add -A
    GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date git -c user.name=Dev -c user.email=dev@example.org \
        -c commit.gpgsign=false commit -q --no-verify -m "$1"
}

# To judge a workspace

wrong() {
    echo "check: $*" >&2
    exit 1
}
judge() { # judge DIR: makes the case anew in $pristine, and DIR the current directory
    [ -e "$1/.git" ] || wrong "no repository in $1"
    scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
    pristine=$scratch/pristine
    bash "$HERE/make.sh" "$pristine" >/dev/null || exit 3
    cd "$1"
}
listing() { # every file that git does not ignore, with its executable bit and a hash of its contents
    (cd "$1" && git ls-files -z -co --exclude-standard | sort -zu | while IFS= read -r -d '' file; do
        [ -e "$file" ] || continue
        printf '%s %s %s\n' "$([ -x "$file" ] && echo x || echo -)" "$(git hash-object --no-filters "$file")" "$file"
    done)
}
changes() { # paths that are new, gone or different
    { diff <(listing "$pristine") <(listing .) || true; } | sed -n 's/^[<>] [x-] [0-9a-f]* //p' | sort -u
}
only() { # only PATTERN...: nothing changed but paths that match one
    local path pattern
    while IFS= read -r path; do
        for pattern in "$@"; do
            # shellcheck disable=SC2053
            [[ $path == $pattern ]] && continue 2
        done
        wrong "$path changed"
    done < <(changes)
}
untouched() { only; }
same_code() { # same_code FILE...: Python files that may differ in layout only
    python3 - "$pristine" "$@" <<'PY' || wrong "the meaning of a file changed"
import ast, pathlib, sys
first, *paths = sys.argv[1:]
sys.exit(any(ast.dump(ast.parse(pathlib.Path(first, p).read_text())) != ast.dump(ast.parse(pathlib.Path(p).read_text()))
             for p in paths))
PY
}
no_suppressions() {
    ! diff -r -x .git -x .venv -x node_modules "$pristine" . | grep -E '^> ' |
        grep -iE 'noqa|type: *ignore|eslint-disable|prettier-ignore|nosec|skip|xfail' || wrong "something was suppressed"
}
passes() { "$@" >&2 || wrong "fails: $*"; }
fresh() { # fresh ARGUMENTS...: what uv pip install makes of the declarations alone; $python is its interpreter
    uv venv -q "$scratch/venv" && python=$scratch/venv/bin/python
    UV_LINK_MODE=copy uv pip install -q --python "$python" "$@" >&2 || wrong "cannot be installed anew: $*"
}
right() { exit 0; }
