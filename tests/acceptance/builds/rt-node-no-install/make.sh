#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put package.json <<'P'
{ "name": "rope", "private": true, "scripts": { "lint": "prettier --check src" }, "devDependencies": { "prettier": "3.4.2" } }
P
put src/rope.js <<'P'
export const length = 3;
P
echo package-lock.json >>.gitignore
commit "Add rope"
