#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only pyproject.toml
no_suppressions
python3 - <<'P' || wrong "not declared where it belongs"
import tomllib
d = tomllib.load(open("pyproject.toml", "rb"))
dev = " ".join(d["dependency-groups"]["dev"]).lower()
assert "types-pyyaml" in dev and "types-python-dateutil" in dev
assert d["project"]["dependencies"] == ["pyyaml>=6", "python-dateutil>=2.9"]
assert d["tool"]["mypy"] == {"strict": True}
P
passes uv sync -q --no-install-project
passes .venv/bin/mypy --no-incremental src
right
