"""A dependency that moved: the project stood still, and a newer release of what it depends on broke it.

What the failure names is asked for directly: which release was the first without it? Where nothing can be asked,
releases of a date are tried, from the commit's own date on. What gets written is a bound on the few distributions
that matter; only if none can be found, the date itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from packaging.utils import canonicalize_name

from autofix import replanning
from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers.base import Bench, CannotFix, Failure, Proposal, TrialResult, Trials
from autofix.fixers.bounds import pinned_exactly, write_bounds, write_build_bounds
from autofix.fixers.installs import environment, installs, python_of, requirements_of, versions
from autofix.fixers.releases import Releases, below, dates_around, just_above
from autofix.fixers.requirement import refresh_locks
from autofix.fixers.suspects import Suspect, find_suspects, has_hard_evidence
from metabuilder.builds.plans import Plan

_TYPES = frozenset((FailureType.RUNTIME, FailureType.TEST_ASSERT, FailureType.INFRA, FailureType.UNKNOWN))
_MAX_TRIALS = 8
_FOR_DATES = 3  # trials kept for resolving as of a date
_MOST_NAMED = 5
_END_OF_LOG = 3000  # characters in which the failing call and its arguments stand
_UNSOLVABLE = ("No solution found", "ResolutionImpossible", "Failed to build", "unsatisfiable")


@dataclass(slots=True)
class _Search:
    """What has been found out so far: bounds in force, and distributions that no bound helps."""

    failure: Failure
    bench: Bench
    env: str | None
    now: datetime
    limits: dict[str, str] = field(default_factory=dict)
    build_limits: dict[str, str] = field(default_factory=dict)
    hopeless: set[str] = field(default_factory=set)
    ladders: dict[str, Iterator[str]] = field(default_factory=dict)
    asked: set[Suspect] = field(default_factory=set)
    seen: dict[str, None] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()  # exactly, by the project: these cannot have moved
    spent: int = 0

    def releases(self, name: str) -> Releases:
        return Releases(self.bench, name, python_of(self.failure.plan, self.bench.root) if _has(self) else "python3")

    def next_bound(self, suspect: Suspect) -> str | None:
        """A bound to try on a suspect next; None when there is none left."""
        releases = self.releases(suspect.distribution)
        if suspect.module and suspect not in self.asked:
            self.asked.add(suspect)
            self.bench.progress(f"looking for the first {suspect.distribution} without {_what(suspect)}")
            first = releases.first_without(suspect.module, suspect.attribute, self.failure.committed_at, self.now)
            if first:
                return below(first)
        ladder = self.ladders.setdefault(suspect.distribution, self._ladder(suspect, releases))
        return next(ladder, None)

    def _ladder(self, suspect: Suspect, releases: Releases) -> Iterator[str]:
        """Bounds that dates give, each once."""
        newest = versions(self.bench.root, self.env).get(suspect.distribution) or releases.at(None)
        seen = {self.limits.get(suspect.distribution)}
        for date in dates_around(self.failure.committed_at, self.now):
            version = releases.at(date)
            limit = just_above(version, newest) if version and version != newest else None
            if limit and limit not in seen:
                seen.add(limit)
                yield limit


def _has(search: _Search) -> bool:
    return bool(search.env) and (search.bench.root / (search.env or "") / "bin" / "python").exists()


def _what(suspect: Suspect) -> str:
    return f"{suspect.module}.{suspect.attribute}" if suspect.attribute else str(suspect.module)


class MovedDependencyFixer:
    name = "python.moved"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        root, env = failure.root, environment(failure.plan, failure.root)
        if failure.signal.type not in _TYPES or not installs(failure.plan, root):
            return ()
        if failure.signal.type is not FailureType.RUNTIME and not has_hard_evidence(root, env, failure.log):
            return ()
        suspects = find_suspects(root, env, failure.log) if has_hard_evidence(root, env, failure.log) else []
        if not suspects:
            return ()
        first = suspects[0].distribution
        return [
            Candidate(
                key=f"{self.name}:{first}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Hold back the releases that broke {first}",
                risk=3,
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        search = _Search(failure, bench, environment(failure.plan, bench.root), datetime.now(UTC))
        search.pinned = pinned_exactly(bench.root, installs(failure.plan, bench.root))
        yield from _by_bounds(search)
        yield from _by_date(search)
        raise CannotFix("neither a bound on what the failure names nor the releases of an earlier date help")


def _by_bounds(search: _Search) -> Trials:
    """Bound what each failure names, adding to it as the failure moves on."""
    log = search.failure.log
    while search.spent < _MAX_TRIALS - _FOR_DATES:
        chosen = _choose(search, log)
        if chosen is None:
            return
        result = yield from _try(search)
        if result.passed:
            return
        if any(words in result.log for words in _UNSOLVABLE) and not chosen.building:
            _limits(search, chosen).pop(chosen.distribution, None)
            search.hopeless.add(chosen.distribution)
        else:
            log = result.log or log


def _choose(search: _Search, log: str) -> Suspect | None:
    """The first suspect for whom there is another bound; the bound is put in force.

    Where the failure blames nobody new, those bound before may have to go further back, the latest first.
    """
    bound_before = [Suspect(name) for name in reversed(search.limits)]
    for suspect in [*find_suspects(search.bench.root, search.env, log), *bound_before]:
        search.seen[suspect.distribution] = None
        if suspect.distribution in search.hopeless or (suspect.distribution in search.pinned and not suspect.building):
            continue
        limit = search.next_bound(suspect)
        if limit is not None:
            _limits(search, suspect)[suspect.distribution] = limit
            return suspect
        search.hopeless.add(suspect.distribution)
    return None


def _limits(search: _Search, suspect: Suspect) -> dict[str, str]:
    return search.build_limits if suspect.building else search.limits


def _try(search: _Search) -> Generator[Proposal, TrialResult, TrialResult]:
    search.spent += 1
    plan, places = _write(search, "Newer releases of these break this project.")
    proposal = Proposal(
        summary=f"Hold {_listed({**search.build_limits, **search.limits})} ({', '.join(sorted(places))})",
        plan=plan,
        rebuild=True,
        vouched=tuple({**search.build_limits, **search.limits}),
    )
    return (yield proposal)


def _listed(limits: Mapping[str, str]) -> str:
    named = [f"{name}{limit}" for name, limit in limits.items()]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + more


def _write(search: _Search, reason: str) -> tuple[Plan | None, set[str]]:
    failure, places, plan = search.failure, set[str](), None
    if search.build_limits:
        plan, places = write_build_bounds(search.bench.root, failure, search.build_limits, reason)
    if search.limits:
        other, more = write_bounds(search.bench.root, failure, search.limits, reason)
        plan, places = (_joined(plan, other) if plan and other else plan or other), places | more
    refresh_locks(search.bench)
    return plan, places


def _joined(one: Plan, other: Plan) -> Plan:
    for step in other.steps:
        one = one.with_step_changed(step.name, env={**one.step(step.name).env, **step.env})
    return one


def _by_date(search: _Search) -> Trials:
    """Resolve everything as of a date until the step passes, then hold only what the failures named."""
    found = installs(search.failure.plan, search.bench.root)
    if not any(install.tool.startswith("uv") for install in found):
        return
    steps = {install.step for install in found if install.tool.startswith("uv")}
    for date in dates_around(search.failure.committed_at, search.now):
        if search.spent >= _MAX_TRIALS:
            return
        search.spent += 1
        stamp = f"{date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        plan = replanning.with_install_env(
            search.failure.plan, steps, {"UV_EXCLUDE_NEWER": stamp}, search.failure.step.name
        )
        result = yield Proposal(
            summary=f"Install what there was on {stamp[:10]}", plan=plan, rebuild=True, keep_looking=True
        )
        if result.passed:
            yield from _narrow(search, date)
            return
        for suspect in find_suspects(search.bench.root, search.env, result.log):
            search.seen.setdefault(suspect.distribution)


def _narrow(search: _Search, date: datetime) -> Trials:
    """From a date that works to bounds: on what the failures named, then on what that requires, then on all."""
    search.limits.clear()
    for names in _circles(search):
        limits = _limits_at(search, names, date)
        if not limits or limits.keys() == search.limits.keys():
            continue
        search.limits = limits
        if (yield from _hold(search, date)):
            yield from _halve(search, date)
            return


def _circles(search: _Search) -> Iterator[list[str]]:
    """Distributions in growing circles around what the failures named; first those that the failure's end mentions."""
    root, env, named = search.bench.root, search.env, list(search.seen)
    end = search.failure.log[-_END_OF_LOG:].lower()
    near = sorted(requirements_of(root, env, named) - set(named))
    yield named
    yield [*named, *(name for name in near if name in end)]
    yield [*named, *near]
    yield list(versions(root, env))


def _limits_at(search: _Search, names: Sequence[str], date: datetime) -> dict[str, str]:
    present, limits = versions(search.bench.root, search.env), dict[str, str]()
    for name in names:
        version = search.releases(name).at(date) if name not in search.pinned else None
        limit = just_above(version, present.get(name)) if version and version != present.get(name) else None
        if limit:
            limits[canonicalize_name(name)] = limit
    return limits


def _hold(search: _Search, date: datetime) -> Generator[Proposal, TrialResult, bool]:
    """Try the bounds in force; a better set may follow, so a pass is kept in mind, not settled for."""
    if search.spent >= _MAX_TRIALS:
        return False
    search.spent += 1
    plan, places = _write(search, f"These were current on {date:%Y-%m-%d}; newer releases break this project.")
    result = yield Proposal(
        summary=f"Hold {', '.join(f'{n}{limit}' for n, limit in search.limits.items())} ({', '.join(sorted(places))})"[
            :200
        ],
        plan=plan,
        rebuild=True,
        keep_looking=True,
        vouched=tuple(search.limits),
    )
    return result.passed


def _halve(search: _Search, date: datetime) -> Trials:
    """Leave out half of the bounds as long as the step passes without them."""
    while len(search.limits) > 1:
        whole, half = search.limits, len(search.limits) // 2
        for part in (list(whole)[:half], list(whole)[half:]):
            search.limits = {name: whole[name] for name in part}
            if (yield from _hold(search, date)):
                break
        else:
            return
