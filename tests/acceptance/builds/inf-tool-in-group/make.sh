#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[project]
name = "harness"
version = "0.0.1"
requires-python = ">=3.10"
dependencies = ["packaging"]

[dependency-groups]
lint = ["ruff==0.8.4"]
P
put harness.py <<'P'
import packaging

print(packaging)
P
echo uv.lock >>.gitignore
commit "Add harness"
