"""Go, Rust, pre-commit, and the `run` steps of a GitHub workflow. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from metabuilder.builds.detection import Files, ReasonedStep, step, text_of
from metabuilder.builds.plan_schema import MAX_STEPS, InvalidPlan
from metabuilder.builds.plan_text import decode
from metabuilder.builds.plans import Effects, StepKind, parse_plan

# What a command is for, by what it calls; the first that fits.
_KINDS = (
    (StepKind.TYPECHECK, r"\b(mypy|pyright|tsc|typecheck|type-check)\b"),
    (
        StepKind.LINT,
        r"\b(ruff|flake8|black|isort|pylint|eslint|prettier|lint|clippy|fmt|vet|pre-commit|rubocop"
        r"|golangci-lint)\b",
    ),
    (StepKind.SECURITY, r"\b(bandit|pip-audit|npm audit|safety|trivy|gitleaks|detect-secrets)\b"),
    (StepKind.MIGRATE, r"\b(makemigrations|migrate|alembic)\b"),
    (
        StepKind.INSTALL,
        r"\b(pip install|npm (ci|install)|yarn install|pnpm install|bundle install|poetry install|uv sync"
        r"|apt-get|mod download)\b",
    ),
    (StepKind.TEST, r"\b(pytest|unittest|tox|nox|test|jest|vitest|rspec|check)\b"),
    (StepKind.BUILD, r"\b(build|compile|make|mvn|gradlew?)\b"),
)
# A derived plan never publishes: nobody has asked for it.
_PUBLISHES = re.compile(
    r"\b(publish|upload|push|deploy|release|twine|docker login|gh |kubectl|terraform|aws |gcloud)\b"
)


def steps(files: Files) -> list[ReasonedStep]:
    return [*_go(files), *_rust(files)]


def _go(files: Files) -> Iterator[ReasonedStep]:
    if "go.mod" not in files:
        return
    yield step("go-modules", StepKind.INSTALL, "go mod download", "go.mod lists the modules")
    yield step("go-vet", StepKind.LINT, "go vet ./...", "go.mod: go's own checks")
    yield step("go-build", StepKind.BUILD, "go build ./...", "go.mod: every package must compile")
    if any(path.endswith("_test.go") for path in files):
        yield step("go-test", StepKind.TEST, "go test ./...", "there are _test.go files")


def _rust(files: Files) -> Iterator[ReasonedStep]:
    if "Cargo.toml" not in files:
        return
    locked = " --locked" if "Cargo.lock" in files else ""
    yield step("cargo-fetch", StepKind.INSTALL, f"cargo fetch{locked}", "Cargo.toml lists the crates")
    if {"rustfmt.toml", ".rustfmt.toml"} & set(files):
        yield step("cargo-fmt", StepKind.LINT, "cargo fmt --check", "rustfmt is configured")
    if {"clippy.toml", ".clippy.toml"} & set(files):
        yield step("cargo-clippy", StepKind.LINT, "cargo clippy --all-targets -- -D warnings", "clippy is configured")
    yield step("cargo-build", StepKind.BUILD, f"cargo build{locked}", "Cargo.toml: the crate must compile")
    yield step("cargo-test", StepKind.TEST, f"cargo test{locked}", "Cargo.toml: cargo runs tests and examples")


def pre_commit_steps(files: Files, *, linted: bool) -> list[ReasonedStep]:
    """The hooks, where no linter was found otherwise: they would run the same tools a second time."""
    if linted or ".pre-commit-config.yaml" not in files:
        return []
    command = "uv tool run pre-commit run --all-files --show-diff-on-failure"
    reason = ".pre-commit-config.yaml, and no other linter"
    return [step("pre-commit", StepKind.LINT, command, reason, effects=Effects.WORKSPACE)]


def workflow_steps(files: Files) -> list[ReasonedStep]:
    """The plain `run` steps of the first workflow that has any; what needs GitHub's own context is left out."""
    for path in sorted(files):
        if re.fullmatch(r"\.github/workflows/[^/]+\.ya?ml", path):
            found = list(_run_steps(path, text_of(files, path)))[:MAX_STEPS]
            if found:
                return found
    return []


def _run_steps(path: str, text: str) -> Iterator[ReasonedStep]:
    try:
        jobs = _mapping(decode(text, path)).get("jobs")
    except (InvalidPlan, yaml.YAMLError):
        return
    for job_name, job in _mapping(jobs).items():
        entries = _mapping(job).get("steps")
        for number, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
            details = _mapping(entry)
            run = details.get("run")
            if not isinstance(run, str) or "if" in details or "${{" in str(details) or _PUBLISHES.search(run):
                continue
            name = str(details.get("name") or f"{job_name}-{number}")[:80].strip()
            spec = {
                "name": name,
                "kind": str(_kind(run)),
                "run": run.strip(),
                "cwd": details.get("working-directory", "."),
            }
            try:
                (taken,) = parse_plan({"steps": [spec]}).steps
            except InvalidPlan:
                continue
            yield ReasonedStep(taken, f"job {job_name!r} of {path}")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _kind(command: str) -> StepKind:
    return next((kind for kind, pattern in _KINDS if re.search(pattern, command)), StepKind.OTHER)
