#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "cargoload"
version = "0.1"
dependencies = []

[project.optional-dependencies]
yaml = ["pyyaml>=6"]

[tool.setuptools]
packages = ["cargoload"]
P
put cargoload/__init__.py </dev/null
put cargoload/from_yaml.py <<'P'
import yaml


def load(text):
    return yaml.safe_load(text)
P
put tests/test_load.py <<'P'
from cargoload.from_yaml import load


def test_load():
    assert load("a: 1") == {"a": 1}
P
commit "Add loading"
