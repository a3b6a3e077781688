"""Heal the demo builds one after the other, then say what happened. Started by bin/demo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests/fixtures/demo"
HOME = ROOT / "var/demo"
PROJECTS, DATA = HOME / "projects", HOME / "data"
console = Console(stderr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of one build, against what was announced."""

    build: dict[str, str]
    result: dict[str, Any]
    seconds: float

    @property
    def outcome(self) -> str:
        return str(self.result.get("outcome") or self.result.get("error") or "no result")

    @property
    def signal(self) -> dict[str, Any]:
        return self.result.get("first_signal") or {}

    @property
    def as_announced(self) -> bool:
        return (self.signal.get("type"), self.outcome) == (self.build["type"], self.build["expected"])

    @property
    def gate(self) -> str | None:
        return next(iter(self.result.get("gates", [])), None)


def repository(name: str) -> Path:
    """Copy one fixture and commit it: heal works on repositories."""
    project = PROJECTS / name
    shutil.copytree(FIXTURES / name, project)
    identity = ["-c", "user.name=Demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Import"]):
        subprocess.run(["git", *identity, *command], cwd=project, check=True)
    return project


def heal(build: dict[str, str]) -> Ending:
    project = repository(build["name"])
    command = [sys.executable, str(ROOT / "manage.py"), "heal", str(project), "--json"]
    begun = time.monotonic()
    # Progress goes to standard error, so it is seen as it happens; standard output ends with the result.
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    lines = done.stdout.strip().splitlines()
    try:
        result = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        result = {"error": f"heal ended with {done.returncode} and no result"}
    return Ending(build=build, result=result, seconds=time.monotonic() - begun)


def what_happened(ending: Ending) -> str:
    tried = [f"{item['strategy']} on {item['step']}: {item['outcome']}" for item in ending.result.get("attempts", [])]
    cause = f"{ending.signal.get('type', 'no failure')}: {ending.signal.get('message', '')}"
    return escape("\n".join([cause, *tried]))


def summary(endings: list[Ending]) -> Table:
    table = Table(title="What happened", title_style="bold", show_lines=True)
    table.add_column("Build", no_wrap=True)
    table.add_column("Ended", no_wrap=True)
    table.add_column("Why, and what was tried", overflow="fold")
    for ending in endings:
        wanted = f"{ending.build['expected']}, {ending.build['type']}"
        note = "[dim]as announced[/]" if ending.as_announced else f"[bold red]not {wanted}[/]"
        style = "green" if ending.as_announced else "bold red"
        table.add_row(
            f"{ending.build['name']}\n[dim]{ending.seconds:.0f} s[/]",
            f"[{style}]{escape(ending.outcome)}[/]\n{note}",
            what_happened(ending),
        )
    return table


def history(endings: list[Ending], manage: str) -> list[str]:
    runs = [(ending.build["name"], ending.result.get("run_id")) for ending in endings]
    return [f"  {manage} autofix_history {str(run)[:8]}  [dim]# {name}[/]" for name, run in runs if run]


def next_steps(endings: list[Ending]) -> str:
    here = "METABUILDER_DATA_DIR=var/demo/data"
    manage = f"{here} .venv/bin/python manage.py"
    lines = [f"Everything of this demo is under var/demo. Where to look next, from {ROOT}:", ""]
    lines += ["[bold]Every attempt[/], its decision and its reason:", *history(endings, manage)]
    if healed := next((e for e in endings if e.outcome == "healed"), None):
        lines += ["", "[bold]A fix[/] is a branch that its repository can fetch:"]
        lines += [f"  git -C {PROJECTS.relative_to(ROOT) / healed.build['name']} fetch {healed.result['delivered']}"]
    if gate := next((e.gate for e in endings if e.gate), None):
        lines += ["", "[bold]The gate[/] waits for a person. Nothing changes before somebody decides:"]
        lines += [f"  {manage} gates show {gate}"]
        lines += [f'  {manage} gates approve {gate} --comment "password rotated"']
        lines += [f'  {manage} gates reject {gate} --reason "rotate it first"']
        lines += ["or in the browser, with the login that this prints:", f"  {here} bin/serve"]
        lines += [f"  http://127.0.0.1:8000/admin/approvals/approvalgate/{gate}/change/"]
    lines += ["", "[bold]Your own build[/]: .venv/bin/python manage.py heal PATH"]
    return "\n".join(lines)


def main() -> int:
    builds = json.loads((FIXTURES / "demo.json").read_text())
    shutil.rmtree(PROJECTS, ignore_errors=True)
    PROJECTS.mkdir(parents=True)
    os.environ["METABUILDER_DATA_DIR"] = str(DATA)
    endings = []
    for number, build in enumerate(builds, start=1):
        console.rule(f"[bold]{number} of {len(builds)}: {build['title']}[/] ({build['expected']}?)")
        endings.append(heal(build))
    console.print()
    console.print(summary(endings))
    console.print(next_steps(endings), highlight=False, soft_wrap=True)
    wrong = [ending.build["name"] for ending in endings if not ending.as_announced]
    if wrong:
        console.print(f"[bold red]Not as announced: {', '.join(wrong)}[/]")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
