"""Node: the lock file's package manager, and the scripts that the project names itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from metabuilder.builds.detection import Files, ReasonedStep, json_of, step, table
from metabuilder.builds.plans import StepKind

# Lock file -> (the command that installs exactly what it says, the command that runs a script).
_MANAGERS = {
    "package-lock.json": ("npm ci --no-audit --no-fund", "npm run --silent"),
    "npm-shrinkwrap.json": ("npm ci --no-audit --no-fund", "npm run --silent"),
    "pnpm-lock.yaml": ("pnpm install --frozen-lockfile", "pnpm run"),
    "yarn.lock": ("yarn install --frozen-lockfile", "yarn run"),
    "bun.lock": ("bun install --frozen-lockfile", "bun run"),
    "bun.lockb": ("bun install --frozen-lockfile", "bun run"),
}
_UNLOCKED = ("npm install --no-audit --no-fund", "npm run --silent")
# The first name that the project has is taken.
_SCRIPTS = (
    ("lint", StepKind.LINT, ("lint", "lint:check", "eslint")),
    (
        "format",
        StepKind.LINT,
        ("format:check", "check-format", "prettier:check", "fmt:check", "format-check"),
    ),
    ("types", StepKind.TYPECHECK, ("typecheck", "type-check", "check-types", "types", "tsc", "check:types")),
    ("test", StepKind.TEST, ("test:ci", "test")),
    ("build", StepKind.BUILD, ("build",)),
)


def steps(files: Files) -> list[ReasonedStep]:
    """[] where there is no package.json with anything to do."""
    package = json_of(files, "package.json")
    if not package:
        return []
    lock = next((name for name in _MANAGERS if name in files), "")
    install, run = _MANAGERS.get(lock, _UNLOCKED)
    if lock == "yarn.lock" and (
        ".yarnrc.yml" in files or not str(package.get("packageManager", "yarn@1")).startswith("yarn@1")
    ):
        install = "yarn install --immutable"
    depends = {**table(package, "dependencies"), **table(package, "devDependencies")}
    found = [*_scripts(package, run)]
    if "tsconfig.json" in files and "typescript" in depends and all(entry.step.name != "types" for entry in found):
        found.append(
            step(
                "types",
                StepKind.TYPECHECK,
                "npx tsc --noEmit -p .",
                "tsconfig.json, and no script of its own",
            )
        )
    if depends or lock:
        why = f"{lock} pins the packages" if lock else "package.json has dependencies and no lock file"
        found.insert(0, step("install-node", StepKind.INSTALL, install, why))
    return found


def _scripts(package: dict[str, object], run: str) -> Iterator[ReasonedStep]:
    scripts = table(package, "scripts")
    for name, kind, spellings in _SCRIPTS:
        script = next((spelling for spelling in spellings if isinstance(scripts.get(spelling), str)), "")
        # `npm init` writes a test script that says there is none, and fails.
        if script and "no test specified" not in str(scripts[script]):
            # CI=true: test runners watch for changes otherwise.
            yield step(name, kind, f"{run} {script}", f"the script {script!r} in package.json", env={"CI": "true"})
