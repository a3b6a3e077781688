"""Commands in a data directory that holds nothing yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def manage(data_dir, *args):
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env |= {"METABUILDER_DATA_DIR": str(data_dir), "METABUILDER_AUDIT_KEY": "k" * 40}
    return subprocess.run([sys.executable, "manage.py", *args], cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("args", [("list",), ("show", "abcdef")])
def test_gates__fresh_directory__answers_without_a_traceback(tmp_path, args):
    done = manage(tmp_path / "new", "gates", *args)
    assert "Traceback" not in done.stderr
    assert ("No gate waits" in done.stdout) if args == ("list",) else ("no gate 'abcdef'" in done.stderr)


def test_verify_audit__fresh_directory__says_that_there_is_nothing_and_does_not_pass(tmp_path):
    (tmp_path / "new").mkdir()
    done = manage(tmp_path / "new", "verify_audit")
    assert done.returncode == 2
    assert "no audit trail" in done.stderr
    assert "Traceback" not in done.stderr
