#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put .pre-commit-config.yaml <<'P'
repos:
  - repo: local
    hooks:
      - id: black
        name: black
        entry: .venv/bin/black
        language: system
        types: [python]
P
put tackle.py <<'P'
def tackle( a ):
  return {'a':a}
P
commit "Add tackle"
