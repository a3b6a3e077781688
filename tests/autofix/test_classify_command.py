"""`manage.py classify`, run as a process: it must work where no database can be reached."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NO_DATABASE = {"DATABASE_URL": "postgres://nobody:none@127.0.0.1:9/none", "METABUILDER_DATA_DIR": "/nonexistent/var"}


def classify(*arguments, text=""):
    return subprocess.run(
        [sys.executable, "manage.py", "classify", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **NO_DATABASE},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_classify__standard_input__prints_the_signal_as_json():
    log = "ModuleNotFoundError: No module named 'yaml'\n"

    done = classify("-", "--step", "test", "--exit-code", 1, "--json", text=log)

    signal = json.loads(done.stdout)
    assert (done.returncode, signal["type"], signal["details"]["module"]) == (0, "RUNTIME", "yaml")


def test_classify__explain__names_line_and_rule(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("one\nbash: ruff: command not found\n")

    done = classify(log, "--explain", "--exit-code", 127)

    assert "INFRA" in done.stdout
    assert "2  [shell.command-not-found]" in done.stdout


def test_classify__missing_file__says_which():
    done = classify("/nowhere/a.log")

    assert done.returncode == 1
    assert "cannot read /nowhere/a.log: No such file or directory" in done.stderr


def test_classify__jsonl__writes_one_answer_per_line(tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    logs = [("a", "x\nFAILED (failures=1)\n"), ("b", "nothing to see\n")]
    source.write_text("".join(json.dumps({"id": i, "step_name": "test", "log": log}) + "\n" for i, log in logs))

    done = classify("--jsonl", source, target)

    answers = [json.loads(line) for line in target.read_text().splitlines()]
    assert done.returncode == 0
    assert [(a["id"], a["type"], a["line"]) for a in answers] == [("a", "TEST_ASSERT", 2), ("b", "UNKNOWN", None)]
    assert set(answers[0]) == {"id", "type", "confidence", "message", "line"}


def test_classify__bad_json_in_a_batch__names_the_line_and_keeps_the_old_output(tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "step_name": "a", "log": ""}\n{"id": 2,\n')
    target.write_text("before\n")

    done = classify("--jsonl", source, target)

    assert done.returncode == 1
    assert "line 2: not valid JSON" in done.stderr
    assert target.read_text() == "before\n"
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_classify__line_without_a_log__is_named(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 1}\n')

    done = classify("--jsonl", source, tmp_path / "out.jsonl")

    assert "line 1: log missing" in done.stderr
