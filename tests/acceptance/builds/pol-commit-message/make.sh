#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/check-message.sh <<'P'
subject=$(git log -1 --format=%s)
if ! grep -qE '^(feat|fix|docs|chore)(\([a-z]+\))?: .+' <<<"$subject"; then
    echo "commit-msg: subject does not follow Conventional Commits: \"$subject\""
    echo "commit-msg: expected type(scope): description"
    exit 1
fi
P
commit "wip stuff"
