#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
printf '.PHONY: build\nbuild:\n\t@mkdir -p build\n\t./scripts/build.sh build/version.txt\n' | put Makefile
put scripts/build.sh 755 <<'P'
#!/bin/sh
set -e
here=$(dirname "$0")
"$here/lib/stamp.sh" > "$1"
P
put scripts/lib/stamp.sh <<'P'
#!/bin/sh
echo "version 1"
P
commit "Add build"
