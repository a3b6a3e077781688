"""Writing version bounds where a project keeps such things: beside the requirement itself, else as a constraint."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomlkit
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError

from autofix import replanning
from autofix.fixers import declarations, project
from autofix.fixers.base import CannotFix, Failure
from autofix.fixers.declarations import Manifest
from autofix.fixers.installs import Install, installs
from autofix.fixers.requirement import pins_exactly
from autofix.fixers.requirement_text import name_of
from metabuilder.builds.plans import Plan

CONSTRAINTS = "constraints.txt"
BUILD_CONSTRAINTS = "constraints-build.txt"


def pinned_exactly(root: Path, found: Sequence[Install]) -> frozenset[str]:
    """What the installed lists, or the installing commands themselves, pin to one version."""
    lines = [line for m in declarations.installed_manifests(root, found) for line in declarations.declared(root, m)]
    lines += [word for install in found for word in install.packages]
    return frozenset(name for line in lines if (name := name_of(line)) and pins_exactly([line]))


def write_bounds(root: Path, failure: Failure, limits: Mapping[str, str], reason: str) -> tuple[Plan | None, set[str]]:
    """Write `{distribution: "<2.1"}` into the workspace; returns the plan if it must change, and where.

    Order: the list that declares the distribution; a constraints file the installs follow already; [tool.uv] of a
    uv project; a requirements file the plan installs; a new constraints.txt, which the plan's install steps get.
    """
    found = installs(failure.plan, root)
    manifests = declarations.installed_manifests(root, found)
    places, left = set[str](), dict[str, str]()
    for name, limit in limits.items():
        direct = [m for m in manifests if declarations.find(root, m, name)]
        bounded = [m.path for m in direct if declarations.bound(root, m, name, limit)]
        if bounded:
            places.update(bounded)
        else:
            left[name] = limit
    if not left:
        return None, places
    path = _indirect(root, found, manifests, left)
    if path:
        return None, {*places, path}
    path = _write_constraints(root, found, CONSTRAINTS, left, reason)
    env = {"UV_CONSTRAINT": path, "PIP_CONSTRAINT": path}
    plan = replanning.with_install_env(failure.plan, {i.step for i in found}, env, failure.step.name)
    return plan, {*places, path}


def write_build_bounds(
    root: Path, failure: Failure, limits: Mapping[str, str], reason: str
) -> tuple[Plan | None, set[str]]:
    """The same for build requirements, which are installed apart from everything else."""
    manifest = Manifest("toml", "pyproject.toml", ("build-system", "requires"))
    if limits and all(declarations.bound(root, manifest, name, limit) for name, limit in limits.items()):
        return None, {manifest.path}
    found = installs(failure.plan, root)
    path = _write_constraints(root, found, BUILD_CONSTRAINTS, limits, reason)
    env = {"UV_BUILD_CONSTRAINT": path, "PIP_CONSTRAINT": path}
    return replanning.with_install_env(failure.plan, {i.step for i in found}, env, failure.step.name), {path}


def _indirect(root: Path, found: list[Install], manifests: list[Manifest], limits: Mapping[str, str]) -> str | None:
    """Write bounds on what others bring in; returns the file, None where no file of the project suits."""
    lines = [f"{name}{limit}" for name, limit in limits.items()]
    followed = declarations.included_constraints(root, found)
    if followed:
        return followed[0] if all(_constrain(root, followed[0], line) for line in lines) else None
    if any(install.tool == "uv" for install in found) and project.inside(root, "pyproject.toml"):
        return "pyproject.toml" if _uv_constraints(root, lines) else None
    if any(install.tool == "poetry" for install in found):
        runtime = next((m for m in manifests if m.kind == "poetry"), None)
        return runtime.path if runtime and all(declarations.add(root, runtime, line) for line in lines) else None
    files = [m for m in manifests if m.kind == "requirements"]
    usable = [m for m in files if not declarations.source_of(root, m.path)]
    if not usable or not (found[0].files or all(install.files for install in found)):
        return None  # something is resolved before the file is seen
    target = next((m for m in usable if not m.development), usable[0])
    return target.path if all(declarations.add(root, target, line) for line in lines) else None


def _constrain(root: Path, path: str, line: str) -> bool:
    manifest = Manifest("requirements", path)
    name = canonicalize_name(line.split("<")[0].split("=")[0])
    if declarations.find(root, manifest, name):
        return declarations.bound(root, manifest, name, line[len(name) :])
    return declarations.add(root, manifest, line)


def _uv_constraints(root: Path, lines: list[str]) -> bool:
    text = project.read(root, "pyproject.toml") or ""
    try:
        document = tomlkit.parse(text)
    except TOMLKitError:
        return False
    tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
    section = tool.setdefault("uv", tomlkit.table())
    listed = section.setdefault("constraint-dependencies", tomlkit.array())
    for line in lines:
        listed.append(line)
    project.write(root, "pyproject.toml", tomlkit.dumps(document))
    return True


def _write_constraints(root: Path, found: list[Install], name: str, limits: Mapping[str, str], reason: str) -> str:
    """Write a constraints file beside where the installs run; returns its path. Tighter bounds replace older ones."""
    folders = {install.cwd for install in found}
    path = posixpath.normpath(posixpath.join(folders.pop() if len(folders) == 1 else ".", name))
    if (root / path).exists() and project.read(root, path) is None:
        raise CannotFix(f"{path} exists and cannot be read")
    if project.read(root, path) is None:
        project.write(root, path, f"# {reason}\n")
    for distribution, limit in limits.items():
        _constrain(root, path, f"{distribution}{limit}")
    return path
