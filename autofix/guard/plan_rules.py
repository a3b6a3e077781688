"""What a re-plan may change without a person: preparation, patience and resolution, never what a check checks. Pure."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from autofix.guard.commands import newly_neutralised, tampers
from autofix.guard.dependencies import canonical
from autofix.guard.verdict import Finding, Verdict
from metabuilder.builds.plans import Effects, Plan, StepKind, StepSpec

_PEOPLES = frozenset({StepKind.SECURITY, StepKind.POLICY, StepKind.DEPLOY})
_PREPARING = frozenset({StepKind.SETUP, StepKind.INSTALL})
_CHECKING = frozenset({StepKind.LINT, StepKind.TYPECHECK, StepKind.TEST})
_TIMEOUT_FACTOR, _TIMEOUT_ALWAYS = 4, 3600.0  # a longer timeout is fine up to the larger of both

_RELATIVE = re.compile(r"(?!.*\.\.)[\w.][\w./-]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:?\d\d)?)?")
_COUNT = re.compile(r"\d{1,6}")
# Environment that steers resolution, patience or load and cannot switch a check off, with the values it may have.
_FREE_ENV: dict[str, re.Pattern[str]] = {
    "UV_CONSTRAINT": _RELATIVE,
    "PIP_CONSTRAINT": _RELATIVE,
    "UV_BUILD_CONSTRAINT": _RELATIVE,
    "UV_EXCLUDE_NEWER": _DATE,
    "UV_HTTP_TIMEOUT": _COUNT,
    "UV_HTTP_RETRIES": _COUNT,
    "UV_CONCURRENT_DOWNLOADS": _COUNT,
    "UV_CONCURRENT_BUILDS": _COUNT,
    "PIP_DEFAULT_TIMEOUT": _COUNT,
    "PIP_RETRIES": _COUNT,
    "NPM_CONFIG_FETCH_RETRIES": _COUNT,
    "NPM_CONFIG_FETCH_TIMEOUT": _COUNT,
    "CARGO_NET_RETRY": _COUNT,
    "CARGO_BUILD_JOBS": _COUNT,
    "GOMAXPROCS": _COUNT,
    "PYTHONHASHSEED": _COUNT,
    "MAKEFLAGS": re.compile(r"-j\s?\d+"),
    "NODE_OPTIONS": re.compile(r"--max-old-space-size=\d{3,5}"),
    "TZ": re.compile(r"[\w+/-]+"),
    "LANG": re.compile(r"[\w.@-]+"),
    "LC_ALL": re.compile(r"[\w.@-]+"),
    "PYTHONUTF8": re.compile(r"1"),
    "PYTHONIOENCODING": re.compile(r"utf-?8", re.IGNORECASE),
}
# What a test command may gain where order or load is the cause.
_FREE_TEST_OPTIONS = re.compile(
    r"(\s+-p\s+no:(randomly|random_order|xdist)|\s+-n\s*[01]|\s+--runInBand|\s+--parallel[= ]1|\s+-v)+"
)
_INSTALLER = re.compile(
    r"\b(?:uv\s+)?pip\s+install\b|\buv\s+(?:sync|add)\b|\bnpm\s+(?:ci|install|i)\b|\b(?:yarn|pnpm)\s+(?:install|add)\b"
)
_FREE_INSTALL_OPTION = re.compile(
    r"--exclude-newer(=.*)?|-c|--constraints?(=.*)?|--retries(=\d+)?|--timeout(=\d+)?|-q|-U|--upgrade|-r|--requirement"
)


def check_plan(old: Plan, new: Plan, *, vouched: Sequence[str] | None = None, mirrors: Sequence[str] = ()) -> Verdict:
    """Judge an edited plan. `vouched` None leaves the names of installed packages to the caller; `mirrors` are the
    index addresses that the platform trusts."""
    return Verdict(tuple(_check(old, new, vouched, frozenset(mirrors))))


def _check(old: Plan, new: Plan, vouched: Sequence[str] | None, mirrors: frozenset[str]) -> Iterator[Finding]:
    before = {step.name: step for step in old.steps}
    after = {step.name: step for step in new.steps}
    for name, step in before.items():
        if name not in after:
            yield _finding(step, "step-dropped", "the step is gone or renamed")
        else:
            yield from _changed_step(step, after[name], mirrors)
            yield from _changed_needs(step, old, new)
    for name, step in after.items():
        if name not in before:
            yield from _inserted_step(step)
            yield from _packages(step, "", step.run, vouched)
        elif step.run != before[name].run and before[name].kind not in _CHECKING:
            yield from _packages(step, before[name].run, step.run, vouched)
    yield from _order(old, new)


def _finding(step: StepSpec, rule: str, message: str) -> Finding:
    return Finding(rule, f"step {step.name}", 0, message)


def _changed_step(old: StepSpec, new: StepSpec, mirrors: frozenset[str]) -> Iterator[Finding]:
    if old == new:
        return
    if old.kind in _PEOPLES:
        yield _finding(old, "peoples-step", f"a {old.kind} step changes only by a person's decision")
    if old.kind is not new.kind:
        yield _finding(old, "kind-changed", f"it was {old.kind} and would be {new.kind}")
    if old.run != new.run:
        yield from _changed_command(old, new)
    yield from _changed_env(old, new, mirrors)
    if new.timeout_seconds > max(old.timeout_seconds * _TIMEOUT_FACTOR, _TIMEOUT_ALWAYS):
        yield _finding(old, "timeout-excessive", f"the timeout would be {new.timeout_seconds:g} s")
    if old.cwd != new.cwd:
        yield _finding(old, "check-changed", "it would run in another folder")
    if old.effects is not new.effects or (old.probe, old.rollback) != (new.probe, new.rollback):
        yield _finding(old, "effects-changed", "what it may do, or how that is undone, changes")
    if old.network is not new.network and new.network is not False:
        yield _finding(old, "network-opened", "it would reach the network")
    if set(old.artifacts) - set(new.artifacts):
        yield _finding(old, "check-changed", "artifacts are no longer kept")


def _changed_command(old: StepSpec, new: StepSpec) -> Iterator[Finding]:
    if old.kind in _CHECKING and _gained_only_free_options(old.run, new.run):
        return
    reasons = list(newly_neutralised(old.run, new.run))
    installs = old.kind in _PREPARING and bool(_INSTALLER.search(old.run))
    if installs and (added := _added_words(old.run, new.run)) is not None:
        reasons = (
            [] if all(map(_is_install_word, added)) else reasons or ["the install command gains more than packages"]
        )
        yield from (_finding(old, "step-neutralised", reason) for reason in reasons)
        return
    for reason in reasons:
        yield _finding(old, "step-neutralised", reason)
    if not reasons:
        yield _finding(old, "check-changed", "its command is another one")


def _gained_only_free_options(old: str, new: str) -> bool:
    return new.startswith(old.rstrip()) and bool(_FREE_TEST_OPTIONS.fullmatch(new[len(old.rstrip()) :].rstrip()))


def _added_words(old: str, new: str) -> list[str] | None:
    """The words that `new` has beyond those of `old`, or None where it lost or reordered one."""
    try:
        before, after = shlex.split(old), shlex.split(new)
    except ValueError:
        return None
    remaining = iter(after)
    if not all(word in remaining for word in before):  # `in` consumes: a subsequence test
        return None
    return list((Counter(after) - Counter(before)).elements())


def _is_install_word(word: str) -> bool:
    if _FREE_INSTALL_OPTION.fullmatch(word) or _DATE.fullmatch(word) or _COUNT.fullmatch(word):
        return True
    if word.endswith((".txt", ".in")):
        return bool(_RELATIVE.fullmatch(word))
    return bool(_package_name(word))


def _package_name(word: str) -> str:
    """The name in a requirement such as `types-requests>=2,<3` or `@types/lodash@4`, else ""."""
    match = re.fullmatch(
        r"(@[\w.-]+/[\w.-]+|[A-Za-z0-9][\w.-]*)(?:\[[\w,.-]+\])?(?:@[\w.^~-]+|\s*(?:[<>=!~]=?=?\s*[\w.*+!-]+\s*,?\s*)*)",
        word,
    )
    return match[1] if match else ""


def _changed_env(old: StepSpec, new: StepSpec, mirrors: frozenset[str]) -> Iterator[Finding]:
    for name in sorted({*old.env, *new.env}):
        if old.env.get(name) == new.env.get(name):
            continue
        if name not in new.env:
            yield _finding(old, "env-changed", f"{name} is no longer set")
        elif not _is_free_env(name, new.env[name], mirrors):
            yield _finding(old, "env-changed", f"{name} can change what the step checks")


def _is_free_env(name: str, value: str, mirrors: frozenset[str]) -> bool:
    if name.upper() in {
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "PIP_INDEX_URL",
        "NPM_CONFIG_REGISTRY",
        "GOPROXY",
    }:
        return value in mirrors
    allowed = _FREE_ENV.get(name.upper() if name.lower().startswith("npm_") else name)
    return bool(allowed and allowed.fullmatch(value))


def _changed_needs(step: StepSpec, old: Plan, new: Plan) -> Iterator[Finding]:
    lost = [need for need in old.needs_of(step) if need in {s.name for s in new.steps}]
    lost = [need for need in lost if not new.depends_on(step.name, need)]
    if lost:
        yield _finding(step, "order-changed", f"it no longer waits for {', '.join(lost)}")


def _order(old: Plan, new: Plan) -> Iterator[Finding]:
    names = {step.name for step in old.steps} & {step.name for step in new.steps}
    before = [step for step in old.order() if step.name in names]
    after = [step.name for step in new.order() if step.name in names]
    for step, name in zip(before, after, strict=True):
        if step.name != name:
            yield _finding(step, "order-changed", "the steps would run in another order")
            return


def _inserted_step(step: StepSpec) -> Iterator[Finding]:
    if step.kind not in _PREPARING:
        yield _finding(step, "step-inserted", f"only setup and install steps are inserted freely, not {step.kind}")
    if step.effects is Effects.EXTERNAL or step.rollback or step.probe:
        yield _finding(step, "effects-changed", "it would reach beyond the workspace")
    part = tampers(step.run)
    if part:
        yield _finding(step, "step-tampers", f"it does more than prepare: {part}")
    for reason in newly_neutralised("", step.run):
        yield _finding(step, "step-neutralised", reason)
    yield from _changed_env(StepSpec(name=step.name, run=step.run), step, frozenset())


def _packages(step: StepSpec, old: str, new: str, vouched: Sequence[str] | None) -> Iterator[Finding]:
    if vouched is None:
        return
    allowed = {canonical(name) for name in vouched}
    known = set(_installed(old))
    for name in _installed(new):
        if name not in known and name not in allowed:
            yield _finding(step, "unvouched-package", f"nobody vouches for the package {name!r}")


def _installed(command: str) -> Iterator[str]:
    """The names of packages that a command installs from an index."""
    for part in re.split(r"&&|\|\||[;\n|]", command):
        found = _INSTALLER.search(part)
        if not found:
            continue
        try:
            words = shlex.split(part[found.end() :])
        except ValueError:
            yield part[found.end() :].strip()
            continue
        for previous, word in zip(["", *words], words, strict=False):
            takes_value = previous in {
                "-r",
                "-c",
                "-e",
                "--requirement",
                "--constraint",
                "--python",
                "--exclude-newer",
                "--prefix",
                "--group",  # what the project declares under that name
                "--extra",
            }
            if not word.startswith(("-", ".")) and not takes_value:
                yield canonical(_package_name(word) or word)
