"""A Python requirement that is imported but not declared: declare it where the project declares its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packaging.utils import canonicalize_name

from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers import declarations, names, project
from autofix.fixers.base import Bench, CannotFix, Failure, Proposal, Trials
from autofix.fixers.declarations import Manifest
from autofix.fixers.installs import environment, installs, is_importable, python_of, versions
from autofix.fixers.releases import Releases, below
from autofix.fixers.requirement_text import bounded

# The start of a Python identifier path inside the quotes that Python, pytest and mypy write.
_NO_MODULE = re.compile(
    r"(?:ModuleNotFoundError|ImportError): No module named (?P<quote>'?)(?P<module>[A-Za-z_][\w.]*)(?P=quote)(?![\w'-])"
)
_TYPES = frozenset(
    (
        FailureType.RUNTIME,
        FailureType.TEST_ASSERT,
        FailureType.INFRA,
        FailureType.UNKNOWN,
        FailureType.SCHEMA_MIGRATION,
    )
)
_MAX_TRIALS = 6
_LOCKS = {"uv.lock": "uv lock", "poetry.lock": "poetry lock", "pdm.lock": "pdm lock"}
_TESTS = re.compile(r"(?:^|/)(?:tests?|testing)/|(?:^|/)(?:test_[^/]*|[^/]*_test|conftest)\.py$")
_ASIDE = re.compile(
    r"(?:^|/)(?:docs?|examples?|benchmarks?|scripts?|tools?|ci)/|(?:^|/)(?:setup|noxfile|tasks|fabfile|dodo)\.py$"
)
_PIN = re.compile(r"^[\w.-]+(?:\[[^\]]*\])?\s*===?\s*[\w.]")


def missing_modules(log: str, named: object = None) -> list[str]:
    """The modules that the log says are missing, in order."""
    first = [named] if isinstance(named, str) and re.fullmatch(r"[A-Za-z_][\w.]*", named) else []
    found = dict.fromkeys([*first, *(match["module"] for match in _NO_MODULE.finditer(log))])
    return [module for module in found if module.isascii()]  # else it may only look like the name it is not


def own_modules(root: Path) -> set[str]:
    """Top-level modules that the project itself has, at its root, under src, lib or python, or beside its tests."""
    found: set[str] = set()
    for folder in (".", "src", "lib", "python", "tests", "test", "app", "backend", "server"):
        try:
            entries = list((root / folder).iterdir())
        except OSError:
            continue
        for entry in entries:
            if entry.suffix == ".py":
                found.add(entry.stem)
            elif entry.name not in project.SKIPPED and entry.is_dir() and _has_python(entry):
                found.add(entry.name)
    return found


def _has_python(folder: Path) -> bool:
    try:
        return (folder / "__init__.py").exists() or any(folder.glob("*.py"))
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing: the module as imported (or the plugin), and the distribution that brings it if known.

    `by_program`: the project's own code imports it, and not only its tests, documentation or tools.
    """

    module: str
    distribution: str | None
    tests_only: bool
    by_program: bool = False


def find_missing(root: Path, env: str | None, log: str, named: object = None) -> list[Missing]:
    """Third-party modules and pytest plugins that the log misses and the environment does not have."""
    own, present = own_modules(root), versions(root, env)
    found = []
    for module in missing_modules(log, named):
        top = module.split(".")[0]
        distribution = names.distribution_for(module)
        if top in own or names.is_standard(top) or (distribution and canonicalize_name(distribution) in present):
            continue
        if is_importable(root, env, module) and (distribution is None or distribution == names.distribution_for(top)):
            continue  # the top level is there: something moved
        importers = _importers(root, module)
        # Imported by nobody at all counts as run time: an installed package needs it.
        tests_only = bool(importers) and all(_TESTS.search(path) for path in importers)
        by_program = any(not _TESTS.search(path) and not _ASIDE.search(path) for path in importers)
        found.append(Missing(module, distribution, tests_only, by_program))
    for plugin in names.missing_pytest_plugins(log):
        if canonicalize_name(plugin) not in present:
            found.append(Missing(plugin.lower().replace("-", "_"), plugin, tests_only=True))
    return found


def _importers(root: Path, module: str) -> list[str]:
    statement = re.compile(rf"(?m)^\s*(?:import|from)\s+{re.escape(module.split('.')[0])}\b")
    found = [path for path in project.files(root, ".py") if statement.search(project.read(root, path) or "")]
    return [path.replace("\\", "/") for path in found]


def is_misplaced(root: Path, installed: Sequence[Manifest], item: Missing) -> bool:
    """Whether the program needs it, and only lists for development declare it beside an installed list of its own."""
    if not item.distribution or not item.by_program or all(manifest.development for manifest in installed):
        return False
    lists = [m for m in declarations.manifests(root) if declarations.find(root, m, item.distribution)]
    return bool(lists) and all(declarations.is_for_developers(manifest) for manifest in lists)


def is_left_out(root: Path, installed: Sequence[Manifest], item: Missing) -> bool:
    """Whether the project declares it in a list for this use that no step installs: a matter of the plan.

    A run-time list may have a twin (setup.py beside requirements.txt); then the twin that is installed lacks it.
    """
    if not item.distribution or is_misplaced(root, installed, item):
        return False
    lists = [
        m for m in declarations.manifests(root) if m not in installed and declarations.find(root, m, item.distribution)
    ]
    return any(m.development or all(other.development for other in installed) for m in lists)


def declared_elsewhere(root: Path, distribution: str) -> str | None:
    """The requirement as another list of the project has it, version bounds included."""
    found = [declarations.find(root, manifest, distribution) for manifest in declarations.manifests(root)]
    plain = [line.split("#")[0].strip() for line in found if line]
    return next((line for line in plain if "^" not in line and "\\" not in line), None)


def choose_manifest(manifests: Sequence[Manifest], *, development: bool) -> Manifest | None:
    """Of the manifests that get installed, the one for this use; a run-time list serves tests where nothing else is."""
    fitting = [manifest for manifest in manifests if manifest.development == development]
    if development:
        tests = [manifest for manifest in fitting if "test" in (manifest.path + ".".join(manifest.keys)).lower()]
        return next(iter([*tests, *fitting, *manifests]), None)
    plain = [manifest for manifest in fitting if manifest.kind == "requirements"]
    return next(iter([*plain, *fitting, *manifests]), None)


def pins_exactly(requirements: Sequence[str]) -> bool:
    return bool(requirements) and all(_PIN.match(line) for line in requirements)


def declare(bench: Bench, failure: Failure, distribution: str, *, development: bool, limit: str | None = None) -> str:
    """Declare a distribution in the manifest that suits it; returns where. Raises CannotFix."""
    manifests = declarations.installed_manifests(bench.root, installs(failure.plan, bench.root))
    manifest = choose_manifest(manifests, development=development)
    if manifest is None:
        raise CannotFix("no step of the plan installs a file in which requirements are declared")
    return declare_in(bench, failure, manifest, distribution, limit)


def declare_in(bench: Bench, failure: Failure, manifest: Manifest, distribution: str, limit: str | None = None) -> str:
    """Declare a distribution in the style of a manifest; returns where. Raises CannotFix."""
    requirement = declared_elsewhere(bench.root, distribution) or distribution
    if limit:
        requirement = bounded(requirement, limit) or f"{distribution}{limit}"
    elif pins_exactly(declarations.declared(bench.root, manifest)):
        requirement = newest_version(bench, failure, distribution) or requirement
    source = declarations.source_of(bench.root, manifest.path) if manifest.kind == "requirements" else None
    if source:
        declarations.add(bench.root, Manifest("requirements", source), distribution)
    if not declarations.add(bench.root, manifest, requirement):
        raise CannotFix(f"{manifest.label} is not a list that can be added to")
    return manifest.label


def newest_version(bench: Bench, failure: Failure, distribution: str) -> str | None:
    """`name==version`, as the project's own index and interpreter resolve the name today."""
    python = shlex.quote(python_of(failure.plan, bench.root))
    command = (
        f"printf '%s\\n' {shlex.quote(distribution)} | "
        f"uv pip compile -q --no-deps --no-header --no-annotate --python {python} -"
    )
    found = re.search(r"(?m)^([\w.-]+==\S+)\s*$", bench.run(command).output)
    return found[1] if found else None


def refresh_locks(bench: Bench) -> None:
    """Bring lock files back in step with what was declared, by the project's own tool."""
    for lock, command in _LOCKS.items():
        if project.inside(bench.root, lock):
            result = bench.run(command, timeout=180)
            if not result.ok:
                raise CannotFix(f"`{command}` failed: {result.output.strip()[-200:]}")


class RequirementFixer:
    name = "python.requirement"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        if failure.signal.type not in _TYPES:
            return ()
        root, env = failure.root, environment(failure.plan, failure.root)
        missing = find_missing(root, env, failure.log, failure.signal.details.get("module"))
        if not missing:
            return ()
        manifests = declarations.installed_manifests(root, installs(failure.plan, root))
        if any(is_left_out(root, manifests, item) for item in missing):
            return ()
        unknown = [item.module for item in missing if item.distribution is None]
        first, gate = missing[0], None
        if unknown:
            gate = f"nobody vouches for a distribution that brings {', '.join(unknown)}; names alone may be squatted"
        elif not manifests:
            return ()
        label = first.distribution or first.module
        return [
            Candidate(
                key=f"{self.name}:{label}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Declare {', '.join(item.distribution or item.module for item in missing)}",
                risk=2,
                gate_reason=gate,
                details={"packages": [item.distribution or item.module for item in missing]},
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        env = environment(failure.plan, bench.root)
        wanted: dict[str, bool] = {}
        limits: dict[str, str] = {}
        strangers: set[str] = set()  # only the log names them; a person who allowed the candidate vouches
        missing = find_missing(bench.root, env, failure.log, failure.signal.details.get("module"))
        for _ in range(_MAX_TRIALS):
            new = {item.distribution or item.module: item.tests_only for item in missing}
            if not set(new) - set(wanted):
                limits |= _last_releases_with(missing, failure, bench, limits)
            wanted |= new
            strangers |= {item.module for item in missing if item.distribution is None}
            places = {
                declare(bench, failure, name, development=tests, limit=limits.get(name))
                for name, tests in wanted.items()
            }
            refresh_locks(bench)
            result = yield Proposal(
                summary=f"Declare {', '.join(wanted)} in {', '.join(sorted(places))}",
                rebuild=True,
                vouched=tuple(name for name in wanted if name not in strangers),
            )
            named = result.signal.details.get("module") if result.signal else None
            missing = find_missing(bench.root, env, result.log, named)
            unknown = [item.module for item in missing if item.distribution is None]
            if unknown:
                raise CannotFix(f"then {', '.join(unknown)} is missing, for which nobody vouches")
        raise CannotFix(f"{_MAX_TRIALS} rounds, and modules are still missing")


def _last_releases_with(
    missing: Sequence[Missing], failure: Failure, bench: Bench, known: Mapping[str, str]
) -> dict[str, str]:
    """Bounds for what was declared and still lacks its module: the newest release dropped it. Raises CannotFix."""
    found = {}
    for item in missing:
        if item.distribution and item.distribution not in known:
            releases = Releases(bench, item.distribution, python_of(failure.plan, bench.root))
            first = releases.first_without(item.module, None, failure.committed_at, datetime.now(UTC))
            if first:
                found[item.distribution] = below(first)
    if not found:
        raise CannotFix("the step still fails, and no further module is missing")
    return found
