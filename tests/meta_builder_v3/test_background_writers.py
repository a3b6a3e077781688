"""A fix holds what its fixer changed, and a failed proof leaves nothing, whatever else is running or was installed."""

from __future__ import annotations

import time

import pytest

from autofix.fixers.base import Proposal
from autofix.models import FixTrial
from tests.builds.repositories import git
from tests.engine import Editing, plug_in, start

pytestmark = pytest.mark.django_db(transaction=True)

WRITER = "i=0; while :; do i=$((i+1)); echo $i > f$i.tmpx; echo $i >> grows.txt; sleep 0.005; done"
LEAVES_A_WRITER = f"(setsid bash -c '{WRITER}' >/dev/null 2>&1 &)"
BROKEN = "echo 'NameError: x'; exit 1"


def head_files(build):
    repository = build.workspace.places.git_dir
    names = git(repository, "diff", "--name-only", build.run.base_commit, build.run.head_commit)
    return names.split()


def test_fix__background_process_writes_meanwhile__is_not_part_of_it(tmp_path, monkeypatch):
    def edit(bench, failure):
        time.sleep(0.3)  # long enough for the writer to add many files
        assert bench.run("sleep 0.2; echo 'x = 2' > app.py").ok
        yield Proposal(summary="Edit the app")

    plug_in(monkeypatch, Editing(edit))
    build = start(
        tmp_path,
        [
            {"name": "serve", "run": LEAVES_A_WRITER, "kind": "setup"},
            {"name": "test", "run": f"grep -q 'x = 2' app.py || {{ {BROKEN}; }}", "kind": "test"},
        ],
        {"grows.txt": "0\n"},
    )
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert head_files(build) == ["app.py"]


def test_fix__command_that_needs_a_service__finds_it_running(tmp_path, monkeypatch):
    asked = "n=$(wc -c < beat); sleep 0.3; test $(wc -c < beat) -gt $n"

    def edit(bench, failure):
        assert not bench.run(asked, cwd=".scratch").ok
        assert bench.run(asked, cwd=".scratch", services=True).ok
        assert not bench.run(asked, cwd=".scratch").ok
        (bench.root / "app.py").write_text("x = 2\n")
        yield Proposal(summary="Edit the app")

    plug_in(monkeypatch, Editing(edit))
    beat = (
        "mkdir -p .scratch; (setsid bash -c 'while :; do echo x >> .scratch/beat; sleep 0.01; done' >/dev/null 2>&1 &)"
    )
    proof = f"grep -q 'x = 2' app.py || {{ {BROKEN}; }}; cd .scratch; {asked}"  # a proof runs beside the service again
    build = start(
        tmp_path,
        [{"name": "serve", "run": beat, "kind": "setup"}, {"name": "test", "run": proof, "kind": "test"}],
    )
    assert build.go().outcome == "healed"


@pytest.mark.parametrize(
    ("installs", "finds"),
    [
        ("mkdir -p ~/.local && cp wanted.txt ~/.local/have.txt", "grep -q yes ~/.local/have.txt"),
        ("mkdir -p vendor && cp wanted.txt vendor/$(cat wanted.txt).txt", "test -e vendor/yes.txt"),
    ],
)
def test_failed_proof__set_up_left_packages_outside_environments__no_later_trial_finds_them(
    tmp_path, monkeypatch, installs, finds
):
    def edit(bench, failure):
        (bench.root / "wanted.txt").write_text("yes")
        (bench.root / "broken.txt").write_text("")
        yield Proposal(summary="Declare it, and break something", rebuild=True)
        (bench.root / "app.py").write_text("x = 2\n")
        yield Proposal(summary="Something that does not help")

    plug_in(monkeypatch, Editing(edit))
    build = start(
        tmp_path,
        [
            {"name": "install", "run": installs, "kind": "install"},
            {"name": "test", "run": f"test ! -e broken.txt && {finds} || {{ {BROKEN}; }}", "kind": "test"},
        ],
        {"wanted.txt": "no", ".gitignore": ".scratch/\nvendor/\n"},
    )
    build.go()
    assert list(FixTrial.objects.order_by("number").values_list("passed", flat=True)) == [False, False]
    assert build.run.head_commit == build.run.base_commit
