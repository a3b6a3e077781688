#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements/dev.txt <<'P'
isort==5.13.2
flake8==7.1.1
P
put setup.cfg <<'P'
[isort]
profile = black
known_first_party = cargo

[flake8]
max-line-length = 100
P
printf 'PYTHON ?= python3\nSOURCES = cargo tools\n\n.PHONY: lint\nlint:\n\t$(PYTHON) -m isort --check-only $(SOURCES)\n\t$(PYTHON) -m flake8 $(SOURCES)\n' | put Makefile
put cargo/__init__.py </dev/null
put cargo/manifest.py <<'P'
from pathlib import Path
import json
import csv
from collections import Counter


def weights(path: Path) -> Counter:
    with path.open() as file:
        return Counter({row["id"]: int(row["kg"]) for row in csv.DictReader(file)})


def dump(path: Path) -> str:
    return json.dumps(weights(path))
P
put tools/show.py <<'P'
from cargo.manifest import dump
import sys
from pathlib import Path

print(dump(Path(sys.argv[1])))
P
commit "Add manifest"
