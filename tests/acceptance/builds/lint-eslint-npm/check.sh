#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only packages/web/src/basket.js
no_suppressions
cd packages/web && passes npm run lint --silent && passes npm test --silent
right
