"""The demo builds end as announced, whatever their project, files and symbols are called."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.acceptance.run_corpus import ENDS, ROOT, bash, heal, tree_hash

pytestmark = pytest.mark.acceptance
FIXTURES = ROOT / "tests/fixtures/demo"
BUILDS = json.loads((FIXTURES / "demo.json").read_text())
# What each build calls its project, files and symbols, and a word of another trade for it.
RENAMED = {
    "unused-imports": {
        "parcelrate": "quayfee",
        "postage": "levy",
        "Postage": "Levy",
        "rates": "tariff",
        "ZONES": "BANDS",
        "zone": "band",
        "PER_KILOGRAM": "EXTRA_STEP",
    },
    "missing-requirement": {
        "harbourlog": "stationlog",
        "berth": "track",
        "occupied": "taken",
        "Occupied": "Taken",
        "ship": "train",
        "OLDEST_FORMAT": "FIRST_SUPPORTED",
    },
    "conflicting-migrations": {
        "orchard": "vineyard",
        "ORCHARD": "VINEYARD",
        "harvest": "vintage",
        "Picking": "Pressing",
        "picking": "pressing",
        "crates": "barrels",
        "weather": "sky",
    },
    "rounding-bug": {
        "tillbook": "potluck",
        "split": "divide",
        "shares": "portions",
        "Shares": "Portions",
        "people": "guests",
    },
    "committed-secret": {
        "ferrydesk": "busstop",
        "settings": "deployment",
        "DATABASE": "STORE",
        "dsn": "target",
        "Dsn": "Target",
        "gull-and-lantern": "badger-and-thimble",
    },
}


def renamed(text, words):
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def copy_renamed(source, target, words):
    """Copy a build with its words replaced, in names of files and directories too."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        copy = target / renamed(str(path.relative_to(source)), words)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(renamed(path.read_text(), words))


def commit(project):
    identity = ["-c", "user.name=Dev", "-c", "user.email=dev@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Import"]):
        subprocess.run(["git", *identity, *command], cwd=project, check=True)


def tracked(project):
    listed = subprocess.run(["git", "ls-files"], cwd=project, capture_output=True, text=True, check=True).stdout
    return {name: (project / name).read_text() for name in listed.splitlines()}


@pytest.fixture(params=["as shipped", "renamed"])
def naming(request):
    return request.param


@pytest.mark.parametrize("build", BUILDS, ids=[build["name"] for build in BUILDS])
def test_heal__demo_build__ends_as_announced(build, naming, tmp_path):
    source = tmp_path / "source"
    words = RENAMED[build["name"]] if naming == "renamed" else {}
    copy_renamed(FIXTURES / build["name"], source, words)
    commit(source)
    before, files = tree_hash(source), tracked(source)

    status, result, progress = heal(source, tmp_path)

    assert (result.get("outcome"), result.get("first_signal", {}).get("type")) == (
        build["expected"],
        build["type"],
    ), progress
    assert (result["status"], status) == ENDS[build["expected"]]
    assert tree_hash(source) == before
    workspace = Path(result["workspace"])
    if build["expected"] == "healed":
        shutil.rmtree(workspace / ".venv")  # what the steps themselves set up has to suffice
        for step in yaml.safe_load((source / "metabuilder.yaml").read_text())["steps"]:
            again = bash(tmp_path, "-c", step["run"], cwd=workspace)
            assert again.returncode == 0, again.stdout + again.stderr
    else:
        assert tracked(workspace) == files


def test_renaming__every_word__occurs_in_its_build():
    for name, words in RENAMED.items():
        text = "".join(f"{path} {path.read_text()}" for path in (FIXTURES / name).rglob("*") if path.is_file())
        assert [word for word in words if word not in text] == []
