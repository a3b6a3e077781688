#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only 'web/src/*'
cd web && passes npm run --silent format:check
right
