"""Heal the broken builds of a corpus and judge how each ended.

A corpus is a directory of cases: `case.json` (plan and expected end), `make.sh DIR` (creates the broken
project) and `check.sh DIR` (judges the final workspace). As a script it prints a table and exits 1 if a case
did not end right:

    python tests/acceptance/run_corpus.py [--own] [--jobs N] [--keep DIR] [case ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("METABUILDER_CORPUS", ROOT.parent / "shared/corpus/builds"))
OWN = ROOT / "tests/acceptance/builds"  # our own cases, in the same form
# How a run that ended so must say it: outcome -> (status, exit status).
ENDS = {
    "clean": ("succeeded", 0),
    "healed": ("succeeded", 0),
    "escalated": ("waiting_approval", 3),
    "rolled_back": ("rolled_back", 1),
    "gave_up": ("failed", 1),
}


@dataclass
class Verdict:
    """How one case ended. `faults` is empty where everything is as the case wants it."""

    case: str
    signal: str = "-"
    outcome: str = "-"
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    harm: list[str] = field(default_factory=list)  # those of the faults that no shortcoming excuses
    false_heal: bool = False

    def blame(self, fault: str) -> None:
        self.faults.append(fault)
        self.harm.append(fault)


def cases(names: list[str] | None = None, corpus: Path = CORPUS) -> list[Path]:
    found = sorted(path.parent for path in corpus.glob("*/case.json")) if corpus.is_dir() else []
    return [path for path in found if not names or path.name in names]


def tree_hash(root: Path) -> str:
    """Hash names, modes and contents of everything below `root`, the repository's own files included."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        digest.update(f"{path.relative_to(root)} {path.lstat().st_mode:o}\n".encode())
        if path.is_symlink():
            digest.update(os.readlink(path).encode())
        elif path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def environment(data_dir: Path) -> dict[str, str]:
    """Return what a user's shell would have: nothing of this suite's database, settings or Python."""
    dropped = re.compile(r"METABUILDER_|DATABASE_URL|DJANGO_|PYTEST_|COV_|VIRTUAL_ENV|PYTHON|PROMETHEUS_")
    kept = {name: value for name, value in os.environ.items() if not dropped.match(name)}
    return kept | {"METABUILDER_DATA_DIR": str(data_dir), "NO_COLOR": "1"}


def bash(scratch: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run bash in a user's environment with uv on the PATH, and nothing else of ours."""
    tools = scratch / "tools"
    tools.mkdir(exist_ok=True)
    if not (tools / "uv").exists():
        (tools / "uv").symlink_to(Path(sys.executable).parent / "uv")
    env = environment(scratch / "data")
    env["PATH"] += f":{tools}"
    return subprocess.run(["bash", *arguments], env=env, capture_output=True, text=True, timeout=600, cwd=cwd)


def heal(source: Path, scratch: Path, *arguments: str) -> tuple[int, dict, str]:
    """Run `manage.py heal --json` as a user would; return exit status, result object and standard error."""
    command = [sys.executable, str(ROOT / "manage.py"), "heal", str(source), "--json", *arguments]
    env = environment(scratch / "data")
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1500, cwd=scratch)
    lines = done.stdout.strip().splitlines()
    try:
        return done.returncode, json.loads(lines[-1]), done.stderr
    except (IndexError, json.JSONDecodeError):
        return done.returncode, {}, done.stderr + done.stdout


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _faults(case: dict, status: int, result: dict) -> Iterator[str]:
    outcome = result.get("outcome")
    wanted = _as_list(case["expected_outcome"])
    if outcome not in wanted:
        yield f"outcome {outcome}, expected {' or '.join(wanted)}"
    if outcome in ENDS and (result["status"], status) != ENDS[outcome]:
        yield f"status {result['status']} with exit status {status} beside outcome {outcome}"
    types = [case["expected_type"], *case.get("also_acceptable_types", [])]
    if (seen := (result.get("first_signal") or {}).get("type")) not in types:
        yield f"first signal {seen}, expected {' or '.join(types)}"


def run_case(path: Path, scratch: Path) -> Verdict:
    case = json.loads((path / "case.json").read_text())
    verdict = Verdict(path.name)
    source = scratch / "source"
    made = bash(scratch, str(path / "make.sh"), str(source))
    if made.returncode:
        verdict.faults.append(f"make.sh failed: {made.stderr.strip()[-300:]}")
        return verdict
    before = tree_hash(source)
    begun = time.monotonic()
    plan_file = scratch / "plan.json"
    plan_file.write_text(json.dumps(case["plan"]))
    status, result, progress = heal(source, scratch, "--plan", str(plan_file))
    verdict.seconds = time.monotonic() - begun
    (scratch / "heal.log").write_text(progress)
    (scratch / "result.json").write_text(json.dumps(result, indent=2))
    if not result or result.get("error"):
        verdict.blame(f"heal broke (exit {status}): {result.get('error') or progress.strip()[-600:]}")
    if tree_hash(source) != before:
        verdict.blame("the source tree was changed")
    if not result:
        return verdict
    verdict.outcome = str(result.get("outcome"))
    verdict.signal = str((result.get("first_signal") or {}).get("type"))
    verdict.faults += _faults(case, status, result)
    checked = bash(scratch, str(path / "check.sh"), result["workspace"])
    if checked.returncode:
        verdict.faults.append(f"check.sh: {(checked.stderr or checked.stdout).strip()[-300:]}")
        verdict.false_heal = verdict.outcome == "healed" and checked.returncode == 1
        if verdict.false_heal:
            verdict.harm.append("healed, but its check says otherwise")
    return verdict


def _run_kept(path: Path, keep: Path) -> Verdict:
    scratch = keep / path.name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    verdict = run_case(path, scratch)
    mark = "ok " if not verdict.faults else "BAD"
    print(
        f"{mark} {verdict.case:30} {verdict.signal:17} {verdict.outcome:12} {verdict.seconds:6.1f} s",
        flush=True,
    )
    for fault in verdict.faults:
        print(f"      {fault}", flush=True)
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description="Heal the builds of a corpus and judge how each ended.")
    parser.add_argument("case", nargs="*", help="names of cases (default: all)")
    parser.add_argument("--own", action="store_true", help=f"the cases in {OWN.relative_to(ROOT)}")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep sources, workspaces and logs here")
    options = parser.parse_args()
    corpus = OWN if options.own else CORPUS
    found = cases(options.case, corpus)
    if not found:
        parser.error(f"no such case in {corpus}")
    with tempfile.TemporaryDirectory(prefix="corpus-", ignore_cleanup_errors=True) as scratch:
        keep = (options.keep or Path(scratch)).resolve()
        with ThreadPoolExecutor(options.jobs) as pool:
            verdicts = list(pool.map(lambda path: _run_kept(path, keep), found))
    right = sum(not verdict.faults for verdict in verdicts)
    healed = sum(not verdict.faults and verdict.outcome == "healed" for verdict in verdicts)
    false_heals = sum(verdict.false_heal for verdict in verdicts)
    print(f"{right} of {len(verdicts)} ended right, {healed} of them healed; {false_heals} false heals")
    return 0 if right == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
