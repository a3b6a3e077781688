"""Type information that a checker misses and names itself: stub packages for mypy, @types for TypeScript."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from autofix import replanning
from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers import declarations, names, project
from autofix.fixers.base import Bench, CannotFix, Failure, Proposal, Trials
from autofix.fixers.declarations import Manifest
from autofix.fixers.installs import environment, installs
from autofix.fixers.missing_tool import installer
from autofix.fixers.package_json import with_dev_dependency
from autofix.fixers.requirement import declare_in, refresh_locks
from metabuilder.builds.plans import Plan

# A checker's own lines begin with a place; the source that it shows below a finding is indented.
_AT = r"(?m)^(?:[A-Za-z]:)?[^\s:][^:\n]*:\d+(?::\d+)*: "
_HINT = re.compile(_AT + r"note: Hint: [\"'](?:python3? -m )?pip install ([\w. -]+)[\"']", re.ASCII)
_NOT_INSTALLED = re.compile(_AT + r"error: Library stubs not installed for [\"']([\w.]+)[\"']", re.ASCII)
_STUBS = re.compile(r"types-\w[\w.-]*|\w[\w.-]*-(?:stubs|types)", re.ASCII)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
# tsc's finding, or the indented line that continues it; the source that it shows begins with a line's number.
_TYPES_LINE = re.compile(r"(?m)^(?!\s*\d+\s)(?:.*\berror TS\d+: |.*\bType error: |\s*(?=Try `)).*Try `npm i.*$")
_TYPES_HINT = re.compile(r"npm i(?:nstall)? (?:--save-dev|-D) (@types/\w[\w.-]*)(?=`)", re.ASCII)
_ROUNDS = 3


def hinted_stubs(log: str) -> list[str]:
    """Stub distributions that the checker's own lines ask for. These are words of a log: see `is_vouched`."""
    plain = _COLOUR.sub("", log)
    found = [name for hint in _HINT.findall(plain) for name in hint.split() if _STUBS.fullmatch(name)]
    known = {canonicalize_name(name) for name in found}
    missing = [names.stubs_for(module) for module in _NOT_INSTALLED.findall(plain)]
    found += [name for name in missing if name and canonicalize_name(name) not in known]
    return list(dict.fromkeys(found))


def is_vouched(root: Path, stubs: str) -> bool:
    """Whether the name is well known, or `types-X` of an X that the project itself declares."""
    runtime = stubs.removeprefix("types-")
    declared = runtime != stubs and any(declarations.find(root, m, runtime) for m in declarations.manifests(root))
    return names.known_stubs(stubs) or declared


class StubsFixer:
    name = "python.stubs"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        stubs = hinted_stubs(failure.log)
        if failure.signal.type is not FailureType.TYPECHECK or not stubs:
            return ()
        unknown = [name for name in stubs if not is_vouched(failure.root, name)]
        manifest = manifest_of_checker(failure, failure.root)
        return [
            Candidate(
                key=f"{self.name}:{','.join(stubs)}",
                fixer=self.name,
                strategy=Strategy.PATCH if manifest else Strategy.REPLAN,
                title=f"Add the stubs that the checker asks for: {', '.join(stubs)}",
                risk=2 if manifest else 4,
                gate_reason=f"only the log names {', '.join(unknown)}" if unknown else None,
                details={"packages": stubs},
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        stubs: dict[str, None] = {}
        new, agreed = hinted_stubs(failure.log), candidate.details.get("packages")
        for _ in range(_ROUNDS):
            if not set(new) - set(stubs):
                raise CannotFix("the checker still has findings, and asks for no further stubs")
            stubs |= dict.fromkeys(new)
            vouched = tuple(name for name in stubs if is_vouched(bench.root, name))
            unknown = set(stubs).difference(vouched, agreed if isinstance(agreed, list | tuple) else ())
            if unknown:
                raise CannotFix(f"nobody vouches for {', '.join(sorted(unknown))}, which only the log names")
            manifest, plan = manifest_of_checker(failure, bench.root), None
            if manifest:
                for name in stubs:
                    declare_in(bench, failure, manifest, name)
                refresh_locks(bench)
            else:
                plan = _with_stubs(failure, bench.root, list(stubs))
            result = yield Proposal(
                summary=f"Add {', '.join(stubs)}{f' to {manifest.label}' if manifest else ''}",
                plan=plan,
                rebuild=manifest is not None,
                vouched=vouched,
            )
            new = hinted_stubs(result.log)


def manifest_of_checker(failure: Failure, root: Path) -> Manifest | None:
    """The installed list that declares the type checker, else one for development; None where there is neither."""
    manifests = declarations.installed_manifests(root, installs(failure.plan, root))
    for checker in ("mypy", "pyright", "basedpyright", "ty"):
        for manifest in manifests:
            if declarations.find(root, manifest, checker):
                return manifest
    return next((m for m in manifests if m.development), None)


def _with_stubs(failure: Failure, root: Path, stubs: Sequence[str]) -> Plan:
    base = installer(failure.plan, installs(failure.plan, root), environment(failure.plan, root))
    safe = [canonicalize_name(name) for name in stubs]
    return replanning.with_install_step(
        failure.plan, f"{base} {' '.join(safe)}", before=failure.step.name, name="install-stubs"
    )


class NodeTypesFixer:
    name = "node.types"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        wanted = hinted_types(failure)
        if failure.signal.type is not FailureType.TYPECHECK or not wanted:
            return ()
        if package_json_of(failure) is None:
            return ()
        return [
            Candidate(
                key=f"{self.name}:{','.join(wanted)}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Add the types that the compiler asks for: {', '.join(wanted)}",
                risk=2,
                details={"packages": wanted},
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        wanted: dict[str, None] = {}
        new = hinted_types(failure)
        for _ in range(_ROUNDS):
            if not set(new) - set(wanted):
                raise CannotFix("the compiler still has findings, and asks for no further types")
            wanted |= dict.fromkeys(new)
            for name in wanted:
                self._add(name, failure, bench)
            result = yield Proposal(
                summary=f"Add {', '.join(wanted)} to package.json", rebuild=True, vouched=tuple(wanted)
            )
            new = hinted_types(replace(failure, log=result.log))

    def _add(self, name: str, failure: Failure, bench: Bench) -> None:
        path = package_json_of(failure)
        text = project.read(bench.root, path) if path else None
        if path is None or text is None:
            raise CannotFix("no package.json")
        version = _version_of_types(name, bench, path.parent)
        edited = with_dev_dependency(text, name, version)
        if edited is None:
            raise CannotFix("package.json cannot be edited without changing its form")
        project.write(bench.root, path, edited)
        folder = path.parent.as_posix()
        if project.inside(bench.root, path.parent / "package-lock.json"):
            command = "npm install --package-lock-only --ignore-scripts --no-audit --no-fund"
            if not bench.run(command, cwd=folder, timeout=180).ok:
                raise CannotFix("package-lock.json could not be brought up to date")


def hinted_types(failure: Failure) -> list[str]:
    """@types packages that the compiler's hints name: Node's, and those of what package.json declares."""
    path = package_json_of(failure)
    data = project.read_json(failure.root, path) if path else {}
    declared = {**project.table(data, "dependencies"), **project.table(data, "devDependencies")}
    lines = _TYPES_LINE.findall(_COLOUR.sub("", failure.log))
    named = dict.fromkeys(name for line in lines for name in _TYPES_HINT.findall(line))
    return [name for name in named if name == "@types/node" or _typed_by(name) in declared]


def _typed_by(types: str) -> str:
    """`@types/lodash` is for lodash, `@types/foo__bar` for @foo/bar."""
    scope, separator, name = types.removeprefix("@types/").rpartition("__")
    return f"@{scope}/{name}" if separator else name


def package_json_of(failure: Failure) -> Path | None:
    folder = Path(failure.step.cwd)
    for path in (folder / "package.json", Path("package.json")):
        if project.inside(failure.root, path):
            return path
    return None


def _version_of_types(name: str, bench: Bench, folder: Path) -> str:
    """The newest version made for the project's own compiler (or Node, for its types), else the newest."""
    compiler = project.read_json(bench.root, folder / "node_modules/typescript/package.json").get("version", "")
    tags = []
    if name == "@types/node":
        node = re.match(r"v(\d+)", bench.run("node --version").output.strip())
        tags += [node[1]] if node else []
    elif short := re.match(r"(\d+\.\d+)", compiler if isinstance(compiler, str) else ""):
        tags.append(f"ts{short[1]}")
    for tag in [*tags, "latest"]:
        result = bench.run(f"npm view --json {shlex.quote(f'{name}@{tag}')} version 2>/dev/null", timeout=60)
        version = _last_version(result.output)
        if version:
            return version
    raise CannotFix(f"the registry has no {name}")


def _last_version(output: str) -> str | None:
    try:
        data = json.loads(output)
    except ValueError:
        return None
    version = data[-1] if isinstance(data, list) and data else data
    return version if isinstance(version, str) and re.fullmatch(r"[\w.+-]+", version) else None
