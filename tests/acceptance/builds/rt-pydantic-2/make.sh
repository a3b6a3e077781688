#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "buoys"
version = "0.3.0"
requires-python = ">=3.9"
dependencies = ["pydantic>=1.8"]

[dependency-groups]
test = ["pytest"]

[tool.setuptools]
py-modules = ["buoys"]
P
put buoys.py <<'P'
from pydantic import BaseSettings, validator


class Settings(BaseSettings):
    spacing: int = 20

    @validator("spacing")
    def positive(cls, value):
        if value <= 0:
            raise ValueError("spacing")
        return value
P
put test_buoys.py <<'P'
from buoys import Settings


def test_spacing():
    assert Settings().spacing == 20
P
commit "Add settings" 2023-01-15T10:00:00+0000
