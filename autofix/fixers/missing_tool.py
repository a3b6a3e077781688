"""A tool or module that the project declares and no step installs: put an installing step into the plan."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autofix import replanning
from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers import declarations, names, project
from autofix.fixers.base import Bench, CannotFix, Failure, Proposal, Trials
from autofix.fixers.declarations import Manifest
from autofix.fixers.installs import Install, environment, installs, is_importable
from autofix.fixers.requirement import find_missing, is_misplaced, missing_modules
from autofix.fixers.shell import base_name, invocations
from autofix.fixers.tables import words
from metabuilder.builds.plans import Plan

_TYPES = frozenset(
    (FailureType.INFRA, FailureType.RUNTIME, FailureType.UNKNOWN, FailureType.LINT, FailureType.TYPECHECK)
)
_NOT_FOUND = (
    re.compile(r"(?m)(?:^|: )(?:line )?(?:\d+: )?([\w./@+-]+): (?:command )?not found\s*$"),
    re.compile(r"(?m)(?:^|: )(?:line )?(?:\d+: )?([\w./@+-]+): No such file or directory\s*$"),
    re.compile(r"(?m)^\S*python[\d.]*(?:\.exe)?: No module named '?([\w-]+)'?"),
    re.compile(r"(?m)Failed to spawn: `?([\w./+-]+)`?\s*$"),
    re.compile(r"Command not found: ([\w./-]+)"),
    re.compile(r"make: ([\w./-]+): (?:No such file or directory|Command not found)"),
    re.compile(r"exec: \"?([\w./-]+)\"?: (?:executable file )?not found"),
)
_NPM_COMMANDS = {
    "tsc": "typescript",
    "ng": "@angular/cli",
    "vue-cli-service": "@vue/cli-service",
    "nest": "@nestjs/cli",
    "biome": "@biomejs/biome",
    "playwright": "@playwright/test",
    "babel": "@babel/cli",
}
_NODE_MODULE = re.compile(r"(?:Cannot find module|Cannot find package|Can't resolve) '((?:@[\w.-]+/)?[\w.-]+)[^']*'")
_SYNC_FLAGS = words(
    "-q --quiet --frozen --locked --no-install-project --no-install-workspace --no-dev --no-default-groups --offline"
)
_NODE_INSTALLERS = (
    ("package-lock.json", "npm ci"),
    ("yarn.lock", "yarn install --frozen-lockfile"),
    ("pnpm-lock.yaml", "pnpm install --frozen-lockfile"),
    ("package.json", "npm install --no-package-lock"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed and how. `declared` is False for a tool that nothing in the project declares."""

    label: str
    command: str
    declared: bool = True
    path_entry: str | None = None  # a folder that the step's PATH lacks


def missing_binary(failure: Failure) -> str | None:
    """The command that was not found: as the log has it, if the failing step is what called it."""
    for pattern in _NOT_FOUND:
        for name in reversed(pattern.findall(failure.log)):
            if base_name(name) not in ("line", "bash", "sh"):
                return str(name)
    named = failure.signal.details.get("path") or failure.signal.details.get("binary")
    return named if isinstance(named, str) and re.fullmatch(r"[\w./@+-]+", named) else None


class InstallStepFixer:
    name = "replan.install"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        if failure.signal.type not in _TYPES:
            return ()
        wanted = find_wanted(failure)
        if wanted is None:
            return ()
        gate = None if wanted.declared else f"the project declares {wanted.label} nowhere"
        return [
            Candidate(
                key=f"{self.name}:{wanted.label}",
                fixer=self.name,
                strategy=Strategy.REPLAN,
                title=f"Install {wanted.label} before {failure.step.name}",
                risk=4,
                gate_reason=gate,
                details={"packages": [wanted.label]},
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        wanted = find_wanted(failure)
        if wanted is None:
            raise CannotFix("nothing that is declared is missing any more")
        plan, step = failure.plan, failure.step.name
        if wanted.command:
            plan = replanning.with_install_step(plan, wanted.command, before=step)
        if wanted.path_entry:
            plan = replanning.with_path_entry(plan, step, wanted.path_entry)
        yield Proposal(summary=f"Install {wanted.label} before {step}: {wanted.command}", plan=plan)


def find_wanted(failure: Failure) -> Wanted | None:
    return _wanted_node(failure) or _wanted_tool(failure) or _wanted_module(failure)


def _wanted_tool(failure: Failure) -> Wanted | None:
    binary = missing_binary(failure)
    if binary is None:
        return None
    tool, root = base_name(binary), failure.root
    found = installs(failure.plan, root)
    env = _environment_of(binary) or environment(failure.plan, root)
    if re.fullmatch(r"(?:python|pip)[\d.]*", tool):
        return _whole_environment(failure, env) if "/" in binary else None
    distribution = names.distribution_for_command(tool)
    command = _declared_install(root, failure.plan, found, env, [distribution or tool, tool])
    bare = "/" not in binary and not any(True for call in invocations(failure.step.run, tool.__eq__) if call.index)
    entry = f"{env}/bin" if env and bare else None
    if env and entry and (root / env / "bin" / tool).exists():
        return Wanted(tool, "", path_entry=entry)
    if command:
        return Wanted(tool, command, path_entry=entry)
    if distribution:
        return Wanted(
            distribution,
            f"{installer(failure.plan, found, env)} {distribution}",
            declared=False,
            path_entry=entry,
        )
    return None


def _environment_of(binary: str) -> str | None:
    """`.venv` of `.venv/bin/ruff`; None for a bare name or one from the machine."""
    match = re.fullmatch(r"(?:\./)?([\w.][\w./-]*)/bin/[^/]+", binary, re.ASCII)
    return match[1] if match and not {"node_modules", ".."} & set(binary.split("/")) else None


def _wanted_module(failure: Failure) -> Wanted | None:
    """A module whose distribution is declared in a list that no step installs, or the project itself."""
    root, found = failure.root, installs(failure.plan, failure.root)
    env = environment(failure.plan, root)
    named = failure.signal.details.get("module")
    for item in find_missing(root, env, failure.log, named):
        if item.distribution and not is_misplaced(root, declarations.installed_manifests(root, found), item):
            command = _declared_install(root, failure.plan, found, env, [item.distribution])
            if command:
                return Wanted(item.distribution, command)
    for module in missing_modules(failure.log, named):
        top = module.split(".")[0]
        under = next((folder for folder in ("src", "lib", "python") if (root / folder / top).is_dir()), None)
        if under and not is_importable(root, env, top) and _is_package(root) and not any(i.projects for i in found):
            return Wanted("the project itself", f"{installer(failure.plan, found, env)} -e .")
    return None


def _is_package(root: Path) -> bool:
    data = project.read_toml(root, "pyproject.toml")
    return "project" in data or "build-system" in data or (root / "setup.py").is_file()


def installer(plan: Plan, found: Sequence[Install], env: str | None) -> str:
    """The installing command in the plan's own manner, up to what it installs."""
    with_uv = any(i.tool.startswith("uv") for i in found) or any(re.search(r"\buv\b", s.run) for s in plan.steps)
    if with_uv:
        return f"uv pip install --python {shlex.quote(f'{env}/bin/python')}" if env else "uv pip install --system"
    return f"{shlex.quote(f'{env}/bin/python') if env else 'python3'} -m pip install"


def _declared_install(
    root: Path, plan: Plan, found: Sequence[Install], env: str | None, wanted: Sequence[str]
) -> str | None:
    """The command that installs the list in which one of the names is declared and which no step installs yet."""
    done = declarations.installed_manifests(root, found)
    lists = [m for m in declarations.manifests(root) if m not in done and not m.path.endswith(".in")]
    lists = [m for m in lists if any(declarations.find(root, m, name) for name in wanted)]
    lists.sort(key=lambda m: (m.kind != "requirements", not m.development))
    for manifest in lists:
        command = _install_of(manifest, plan, found, env)
        if command:
            return command
    return None


def _install_of(manifest: Manifest, plan: Plan, found: Sequence[Install], env: str | None) -> str | None:
    base, folder = installer(plan, found, env), posixpath.dirname(manifest.path) or "."
    target = "." if folder == "." else f"./{folder}"
    editable = "-e " if any(i.projects for i in found) else ""
    tools = {install.tool for install in found}
    section = manifest.keys[-1] if manifest.keys else ""
    if not re.fullmatch(r"[\w.-]*", section) or not re.fullmatch(r"[\w./-]+", manifest.path):
        return None
    if manifest.kind == "requirements":
        return f"{base} -r {manifest.path}"
    if manifest.kind == "poetry":
        group = manifest.keys[-2] if len(manifest.keys) == 5 else ""
        return f"poetry install --with {group}" if "poetry" in tools and group else None
    if manifest.keys[:1] == ("dependency-groups",):
        return f"{_uv_sync(plan, folder)} --group {section}" if "uv" in tools else f"{base} --group {section}"
    if manifest.keys[:2] == ("project", "optional-dependencies") or manifest.keys[:1] == ("options.extras_require",):
        chosen = f"{base} {editable}'{target}[{section}]'"
        return f"{_uv_sync(plan, folder)} --extra {section}" if "uv" in tools else chosen
    return f"{base} {editable}{target}"


def _uv_sync(plan: Plan, folder: str) -> str:
    """`uv sync` as the plan calls it, apart from what it selects, so that nothing else comes or goes."""
    called = (call for step in plan.steps for call in invocations(step.run, "uv".__eq__))
    flags = next((call.command.values for call in called if "sync" in call.command.values), [])
    kept = [flag for flag in dict.fromkeys(flags) if flag in _SYNC_FLAGS]
    move = "" if folder == "." else f"cd {shlex.quote(folder)} && "
    return " ".join([f"{move}uv sync --inexact", *kept])


def _whole_environment(failure: Failure, env: str | None) -> Wanted | None:
    """The plan uses an environment that no step makes: make it, with all that the project declares."""
    if env is None or ".." in env.split("/") or (failure.root / env).exists():
        return None
    files = [
        f"-r {shlex.quote(m.path)}"
        for m in declarations.manifests(failure.root)
        if m.kind == "requirements" and m.path.endswith(".txt")
    ]
    parts = [*files, *(["-e ."] if _is_package(failure.root) else [])]
    if not parts:
        return None
    make = f"uv venv -q {shlex.quote(env)}"
    return Wanted(
        f"the environment {env}",
        f"{make} && uv pip install --python {shlex.quote(f'{env}/bin/python')} {' '.join(parts)}",
    )


def _wanted_node(failure: Failure) -> Wanted | None:
    """A tool or module of package.json where no step installs node_modules."""
    folder = failure.root / failure.step.cwd
    data = project.read_json(failure.root, folder / "package.json")
    declared = {**project.table(data, "dependencies"), **project.table(data, "devDependencies")}
    if not declared or (folder / "node_modules").exists():
        return None
    binary = base_name(missing_binary(failure) or "")
    modules = _NODE_MODULE.findall(failure.log)
    label = next((name for name in (_NPM_COMMANDS.get(binary, binary), *modules) if name in declared), None)
    if label is None:
        return None
    command = next(command for lock, command in _NODE_INSTALLERS if (folder / lock).is_file())
    return Wanted(label, command if failure.step.cwd == "." else f"cd {shlex.quote(failure.step.cwd)} && {command}")
