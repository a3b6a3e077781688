#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only requirements-test.txt
passes .venv/bin/python -m pytest -q -p no:cacheprovider tests
.venv/bin/python -c 'import wharf_ledger, pathlib; raise SystemExit(not pathlib.Path(wharf_ledger.__file__).is_relative_to(pathlib.Path.cwd()))' || wrong "a stranger's package"
right
