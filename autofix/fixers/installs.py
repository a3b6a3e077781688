"""What a plan's steps install into which Python environment, read from their commands."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from autofix.fixers import project
from autofix.fixers.shell import SimpleCommand, base_name, find_tool, parse
from autofix.fixers.tables import words
from metabuilder.builds.plans import Plan, StepSpec

_INSTALLERS = frozenset(("pip", "pip3", "uv", "poetry", "pdm", "pipenv"))
_VALUES = {
    "-r": "files", "--requirement": "files", "--requirements": "files", "-c": "constraints",
    "--constraint": "constraints", "--constraints": "constraints", "-e": "projects", "--editable": "projects",
    "--group": "groups", "--extra": "extras", "--with": "groups", "--only-group": "groups", "--only": "groups",
    "-E": "extras", "--extras": "extras", "-G": "groups",
}  # fmt: skip
_OTHER_VALUES = words(
    "-i --index-url --extra-index-url -f --find-links -p --python --target -t --prefix --only-binary --no-binary "
    "--exclude-newer --index-strategy --resolution --cache-dir --timeout --retries --upgrade-package -P --no-group "
    "--link-mode --config-setting --proxy --cert --trusted-host --progress-bar --platform --prerelease"
)
_PROJECT = re.compile(r"^(?P<path>\.|\./.*|\.\./.*|/.*|[^=<>\[\]]+/)(?:\[(?P<extras>[^\]]*)\])?$")
_ENVIRONMENT = re.compile(r"^(?:\$PWD/|\$\{PWD\}/|\./)?(?P<env>[\w./-]*?[\w.-]+)/(?:bin|Scripts)/[\w.-]+$")


@dataclass(frozen=True, slots=True)
class Install:
    """One installing command of a step; paths are relative to the workspace."""

    step: str
    tool: str  # pip, uv pip, uv, poetry, pdm, pipenv
    cwd: str
    files: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  # requirements written in the command itself

    @property
    def manages_project(self) -> bool:
        """uv sync, poetry install and their like: the project's own declarations are installed."""
        return self.tool in ("uv", "poetry", "pdm", "pipenv")


@dataclass(slots=True)
class _Read:
    files: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)


def installs(plan: Plan, root: Path) -> list[Install]:
    """Every installing command of the plan, in plan order."""
    found = []
    for step in plan.steps:
        for text in project.expand(root, step.run, step.cwd):
            for command in parse(text):
                install = _install(step, command)
                if install:
                    found.append(_with_constraints_of(step, install))
    return found


def _with_constraints_of(step: StepSpec, install: Install) -> Install:
    """The install with the constraint files that the step's environment names."""
    named = {step.env[key] for key in ("UV_CONSTRAINT", "PIP_CONSTRAINT") if key in step.env}
    paths = [posixpath.normpath(posixpath.join(step.cwd, path)) for path in sorted(named)]
    return replace(install, constraints=(*install.constraints, *paths)) if paths else install


def _install(step: StepSpec, command: SimpleCommand) -> Install | None:
    call = find_tool(command, _INSTALLERS.__contains__)
    if call is None:
        return None
    tool = base_name(command.words[call.index].value).replace("pip3", "pip")
    words = [word.value for word in call.arguments]
    plain = [word for word in words if not word.startswith("-")]
    if tool == "uv" and plain[:1] == ["pip"]:
        tool, plain = "uv pip", plain[1:]
    verb = plain[0] if plain else ""
    if verb not in {"uv": ("sync",), "uv pip": ("install", "sync"), "pip": ("install",)}.get(tool, ("install", "sync")):
        return None
    cwd = step.cwd
    for earlier in command.before:
        if earlier.startswith("cd "):
            cwd = posixpath.normpath(posixpath.join(cwd, earlier[3:].strip("'\"")))
    read = _read(words[words.index(verb) + 1 :], tool)
    if tool == "uv pip" and verb == "sync":
        read.files, read.packages = [*read.files, *read.packages], []
    here = [posixpath.normpath(posixpath.join(cwd, path)) for path in read.files]
    limits = [posixpath.normpath(posixpath.join(cwd, path)) for path in read.constraints]
    if tool == "pip" or tool == "uv pip":
        packages = [word for word in read.packages if not _PROJECT.match(word)]
        for word in (*read.packages, *read.projects):
            local = _PROJECT.match(word)
            if local:
                read.extras += [extra.strip() for extra in (local["extras"] or "").split(",") if extra.strip()]
        roots = [match["path"] for word in (*read.packages, *read.projects) if (match := _PROJECT.match(word))]
    else:
        packages, roots = [], ["."]
    return Install(
        step.name, tool, cwd, tuple(here), tuple(limits),
        tuple(posixpath.normpath(posixpath.join(cwd, path)) for path in roots),
        tuple(read.extras), tuple(read.groups), tuple(packages),
    )  # fmt: skip


def _read(words: Sequence[str], tool: str) -> _Read:
    read, pending = _Read(), iter(words)
    for word in pending:
        option, _, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word.startswith("-") and not word.startswith("--") and len(word) > 2 and word[:2] in ("-r", "-c", "-e"):
            option, value = word[:2], word[2:]
        if option in _VALUES:
            listed = value or next(pending, "")
            parts = re.split(r"[,\s]+", listed) if _VALUES[option] in ("groups", "extras") else [listed]
            getattr(read, _VALUES[option]).extend(part for part in parts if part)
        elif option in _OTHER_VALUES:
            value or next(pending, "")
        elif option in ("--dev", "-d"):
            read.groups.append("dev")
        elif option == "--all-extras":
            read.extras.append("*")
        elif option == "--all-groups":
            read.groups.append("*")
        elif not word.startswith("-"):
            read.packages.append(word)
    return read


def environment(plan: Plan, root: Path) -> str | None:
    """The virtual environment (relative path) that the plan makes or uses; None for the machine's Python."""
    named: str | None = None
    for step in plan.steps:
        for text in project.expand(root, step.run, step.cwd):
            for command in parse(text):
                made = _made_environment(command)
                if made:
                    return posixpath.normpath(posixpath.join(step.cwd, made))
                for value in command.values:
                    used = _ENVIRONMENT.match(value)
                    if used and not used["env"].startswith("/") and "node_modules" not in used["env"]:
                        named = named or posixpath.normpath(posixpath.join(step.cwd, used["env"]))
    if named is None and any(install.tool in ("uv", "uv pip") for install in installs(plan, root)):
        return ".venv"
    if named is None and (root / ".venv" / "pyvenv.cfg").exists():
        return ".venv"
    return named


def _made_environment(command: SimpleCommand) -> str | None:
    """The path that `uv venv`, `python -m venv` or `virtualenv` gets; ".venv" is uv's own default."""
    call = find_tool(command, ("venv", "virtualenv", "uv").__contains__)
    if call is None:
        return None
    words = [word.value for word in call.arguments]
    is_uv = base_name(command.words[call.index].value) == "uv"
    if is_uv:
        if words[:1] != ["venv"]:
            return None
        words = words[1:]
    paths, pending = [], iter(words)
    for word in pending:
        if word in ("-p", "--python", "--prompt", "--seed-packages"):
            next(pending, "")
        elif not word.startswith("-"):
            paths.append(word)
    return paths[0] if paths else (".venv" if is_uv else None)


def python_of(plan: Plan, root: Path) -> str:
    """The interpreter that the plan's tests run with, as a word for bash at the workspace's root."""
    env = environment(plan, root)
    return f"{env}/bin/python" if env else "python3"


def installed(root: Path, env: str | None) -> Iterator[Distribution]:
    """The distributions in the environment, from its metadata; none where it cannot be read."""
    for folder in site_packages(root, env):
        yield from distributions(path=[str(folder)])


def site_packages(root: Path, env: str | None) -> list[Path]:
    return sorted((root / env).glob("lib/python3*/site-packages")) if env else []


def versions(root: Path, env: str | None) -> dict[str, str]:
    """Canonical name to version of what is installed."""
    return {canonicalize_name(d.name): d.version for d in installed(root, env) if d.name and d.version}


def built_here(root: Path, env: str | None) -> set[str]:
    """Canonical names of the distributions that were built from a directory: the project itself, for one."""
    local = [d for d in installed(root, env) if "dir_info" in (d.read_text("direct_url.json") or "")]
    return {canonicalize_name(d.name) for d in local if d.name}


def requirements_of(root: Path, env: str | None, names: Collection[str]) -> set[str]:
    """What installed distributions of these names require directly, as far as it is installed."""
    present, found = versions(root, env), set[str]()
    for distribution in installed(root, env):
        if distribution.name and canonicalize_name(distribution.name) in names:
            found |= {canonicalize_name(re.split(r"[^\w.-]", line)[0]) for line in distribution.requires or ()}
    return found & present.keys()


def is_importable(root: Path, env: str | None, module: str) -> bool:
    """Whether the environment holds the top level of a module, whatever brought it."""
    top = module.split(".")[0]
    for folder in site_packages(root, env):
        if (folder / top).is_dir() or any(folder.glob(f"{top}.py")) or any(folder.glob(f"{top}.*.so")):
            return True
    return False


def owner_of_file(root: Path, env: str | None, path: str) -> str | None:
    """The distribution that brought an installed file; `path` is as a log shows it."""
    _, found, inner = path.replace("\\", "/").rpartition("site-packages/")
    return _owner(root, env, inner) if found else None


def owner_of_module(root: Path, env: str | None, module: str) -> str | None:
    path = module.replace(".", "/")
    return _owner(root, env, f"{path}/__init__.py") or _owner(root, env, f"{path}.py") or _owner(root, env, f"{path}/")


def _owner(root: Path, env: str | None, inner: str) -> str | None:
    for distribution in installed(root, env):
        record = distribution.read_text("RECORD") or ""
        hit = f"\n{inner}" in f"\n{record}" if inner.endswith("/") else f"\n{inner}," in f"\n{record}"
        if hit and distribution.name:
            return canonicalize_name(distribution.name)
    return None
