"""The README's promises that a program can check: its Python runs, its tables are complete."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync

from metabuilder.builds.accounts import local_user
from metabuilder.builds.plans import parse_plan
from metabuilder.builds.runs import create_run
from settings_flags.registry import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# Fails once with a cut connection, then passes: what a flaky download does.
CUT = "curl: (56) Recv failure: Connection reset by peer"
FLAKY = f'test -e .fetched || {{ touch .fetched; echo "{CUT}"; exit 56; }}'


@pytest.fixture
def step(tmp_path, transactional_db):
    source = tmp_path / "source"
    source.mkdir()
    identity = ["-c", "user.name=Dev", "-c", "user.email=dev@example.org"]
    (source / ".gitignore").write_text(".fetched\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Import"]):
        subprocess.run(["git", *identity, *command], cwd=source, check=True)
    tenant, user = local_user()
    plan = parse_plan({"name": "fetching", "steps": [{"name": "fetch", "kind": "build", "run": FLAKY}]})
    run = create_run(tenant=tenant, actor=user, source=str(source), plan=plan, foreground=True)
    return run.steps.get()


def run_snippet(code, **names):
    """Run a snippet as the body of a coroutine, as a reader would paste it, and return what it defined."""
    tree = ast.parse(f"async def snippet(step, context):\n{indented(code)}\n    return locals()")
    exec(compile(tree, "README.md", "exec"), defined := {})
    return async_to_sync(defined["snippet"])(**names)


def indented(code):
    return "".join(f"    {line}\n" for line in code.splitlines())


def test_readme__python__is_the_three_snippets_of_the_guide():
    assert len(SNIPPETS) == 3


def test_readme__execute_step_snippet__heals_a_flaky_step(step, capsys):
    result = run_snippet(SNIPPETS[0], step=step, context={})["result"]

    assert (result["success"], result["auto_fix_outcome"]) == (True, "healed")
    assert [attempt["strategy"] for attempt in result["attempts"]] == ["RETRY"]
    assert capsys.readouterr().out == "fetch: healed after 1 attempts\n"


def test_readme__classify_snippet__names_the_rate_limit(capsys):
    run_snippet(SNIPPETS[1], step=None, context=None)
    assert "RATE_LIMIT" in capsys.readouterr().out


def test_readme__retry_policy_snippet__heals_within_its_own_delays(step):
    names = run_snippet(SNIPPETS[2], step=step, context={})

    assert names["decision"].strategy == "RETRY"
    assert names["result"]["auto_fix_outcome"] == "healed"
    assert 0.25 <= names["result"]["attempts"][0]["backoff"] <= 0.5  # base_delay 0.5; jitter never halves it


def table(heading, first_column=0):
    """Return the names in backquotes of a column of the tables below a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return [row[first_column].strip().strip("`") for row in rows]


def test_readme__configuration__names_every_variable_once_and_no_other():
    source = (ROOT / "metabuilder/settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|_\w+)\(\s*"([A-Z][A-Z_]+)"', source))
    platform = {f"METABUILDER_{name.upper()}" for name in SETTINGS}
    assert sorted(table("Configuration")) == sorted(read | platform | {"PROMETHEUS_MULTIPROC_DIR"})


def test_readme__dependencies__are_those_of_requirements_txt():
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert table("Development") == pinned


@pytest.mark.parametrize("page", sorted(["README.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))]))
def test_documentation__links_to_files__lead_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
