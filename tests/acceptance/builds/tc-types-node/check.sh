#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only package.json
grep -q '"@types/node"' package.json || wrong "not declared"
passes npx tsc -p tsconfig.json
right
