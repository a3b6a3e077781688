"""Asking a distribution's releases: which one a date would have given, and when something went missing."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from packaging.version import InvalidVersion, Version

from autofix.fixers.base import Bench

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_MODULE = re.compile(r"^[A-Za-z_][\w.]*$", re.ASCII)
_CLOSE = timedelta(days=2)
_MAX_STEPS = 14
_BUILD_SECONDS = 40  # for a release that has no wheel
_PROBE = """
import importlib, sys
module, attribute = sys.argv[1], sys.argv[2]
try:
    found = importlib.import_module(module)
    if attribute and not hasattr(found, attribute):
        importlib.import_module(module + "." + attribute)
except ModuleNotFoundError as error:
    gone = error.name or ""
    sys.exit(3 if gone in (module, module + "." + attribute) or module.startswith(gone + ".") else 0)
except BaseException:
    sys.exit(0)  # it fails in some other way: what was asked for is not what is missing
"""


@dataclass(slots=True)
class Releases:
    """One distribution's releases, as the project's own index and interpreter see them. Answers are remembered."""

    bench: Bench
    distribution: str
    python: str
    _at: dict[str, str | None] = field(default_factory=dict)
    _has: dict[str, bool] = field(default_factory=dict)

    def at(self, date: datetime | None) -> str | None:
        """The version that would have been installed at `date` (None: today), if there was one."""
        if not _NAME.fullmatch(self.distribution):
            return None
        limit = f"--exclude-newer {date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} " if date else ""
        if limit not in self._at:
            command = (
                f"echo {self.distribution} | uv pip compile -q --no-deps --no-header --no-annotate {limit}"
                f"--python {shlex.quote(self.python)} -"
            )
            found = re.search(r"(?m)^[\w.-]+==(\S+)\s*$", self.bench.run(command, timeout=60).output)
            self._at[limit] = found[1] if found else None
        return self._at[limit]

    def has(self, version: str, module: str, attribute: str | None) -> bool:
        """Whether a release has a module, or an attribute of it. A release that cannot be installed has nothing."""
        key = f"{version} {module} {attribute}"
        if key not in self._has:
            wanted = shlex.quote(f"{self.distribution}=={version}")
            python = shlex.quote(self.python)
            install = f'uv pip install -q --no-deps --target "$d" --python {python}'
            command = (
                "d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && "
                f"{{ {install} --only-binary :all: {wanted} || timeout {_BUILD_SECONDS} {install} {wanted}; }} && "
                f'PYTHONPATH="$d" PYTHONDONTWRITEBYTECODE=1 {python} -W ignore -c {shlex.quote(_PROBE)} '
                f"{shlex.quote(module)} {shlex.quote(attribute or '')}"
            )
            self._has[key] = self._may_ask(module) and self.bench.run(command, timeout=90).ok
        return self._has[key]

    def _may_ask(self, module: str) -> bool:
        """Names come from logs; none may be taken for an option."""
        return bool(_NAME.fullmatch(self.distribution) and _MODULE.fullmatch(module))

    def first_without(self, module: str, attribute: str | None, near: datetime, now: datetime) -> str | None:
        """The first release that lacks what the newest one lacks; None where none had it, or the newest has it.

        Looks for a date at which it was there, from the commit's date outwards, then halves the time between.
        """
        newest = self.at(None)
        if newest is None or self.has(newest, module, attribute):
            return None
        good = next((date for date in dates_around(near, now) if self._there(date, module, attribute)), None)
        if good is None:
            return None
        bad, first = now, newest
        for _ in range(_MAX_STEPS):
            if bad - good <= _CLOSE:
                break
            middle = good + (bad - good) / 2
            version = self.at(middle)
            if version and self.has(version, module, attribute):
                good = middle
            else:
                bad, first = middle, version or first
        return first

    def _there(self, date: datetime, module: str, attribute: str | None) -> bool:
        version = self.at(date)
        return version is not None and self.has(version, module, attribute)


def dates_around(near: datetime, now: datetime) -> list[datetime]:
    """Dates to look at: the commit's own, later ones in growing steps, then earlier ones."""
    later = [near + timedelta(days=days) for days in (0, 183, 365, 730, 1461, 2922)]
    earlier = [near - timedelta(days=days) for days in (183, 365, 730, 1461, 2922)]
    return [date for date in [*later, *earlier] if date < now]


def below(version: str) -> str:
    """The bound that excludes a version and all after it: 2.1.0 gives "<2.1"."""
    text = Version(version).base_version
    while text.endswith(".0") and text.count(".") > 0:
        text = text[:-2]
    return f"<{text}"


def just_above(working: str, failing: str | None) -> str | None:
    """A bound that admits `working` and excludes `failing`, at the nearest release boundary between them."""
    try:
        low, high = Version(working), Version(failing) if failing else None
    except InvalidVersion:
        return None
    if high is not None and high <= low:
        return None
    if high is not None and high.release[:2] == low.release[:2]:
        return below(str(high))
    if high is not None and high.major == low.major:
        return f"<{low.major}.{low.minor + 1}"
    return f"<{low.major + 1}"
