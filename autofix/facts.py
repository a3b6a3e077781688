"""Typed facts out of the named groups of hits: what `FailureSignal.details` holds."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Any

from autofix.matching import Hit

_LIST_KEYS = {
    "code": "codes",
    "test": "tests",
    "package": "packages",
    "migration": "migrations",
    "names": "names",
}
_MOST_ITEMS = {"codes": 50, "tests": 100, "packages": 50, "migrations": 50, "names": 50, "locations": 100}
_UNIT_SECONDS = {"": 1, "m": 60, "s": 1, "h": 3600, "ms": 0.001, "d": 86400}
_EPOCH_FROM = 1_000_000_000  # a larger number is an instant, not a wait
_SIGNALS = {
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    13: "SIGPIPE",
    15: "SIGTERM",
}


def signal_name(exit_code: int | None) -> str | None:
    """The signal behind an exit code: 128 + n from a shell, -n from a process that was waited for."""
    if exit_code is None:
        return None
    return _SIGNALS.get(-exit_code if exit_code < 0 else exit_code - 128)


def facts_of(deciding: Hit, others: Iterable[Hit]) -> dict[str, Any]:
    """Facts of the deciding hit, completed by other hits of the same cause: single facts by the first, lists by all."""
    facts: dict[str, Any] = {}
    if deciding.rule.tool:
        facts["tool"] = deciding.groups.get("tool") or deciding.rule.tool
    for hit in (deciding, *others):
        _add(facts, hit)
    _count_from_the_servers_clock(facts)
    return facts


def _count_from_the_servers_clock(facts: dict[str, Any]) -> None:
    """A date to retry at, and the date of the answer itself: the wait is known without our own clock."""
    now, at = facts.pop("_now", None), facts.get("retry_at")
    if now is not None and at is not None and "retry_after" not in facts:
        facts["retry_after"] = max(0, int(at - now))


def _add(facts: dict[str, Any], hit: Hit) -> None:
    groups = hit.groups
    for group, key in _LIST_KEYS.items():
        if value := groups.get(group, ""):
            _extend(facts, key, _split(group, value))
    if (module := groups.get("module")) and "module" not in facts:
        facts["module"] = module.strip("'\"`")
    if (status := groups.get("status", "")).isdigit():
        facts.setdefault("http_status", int(status))
    if signal := groups.get("signal"):
        facts.setdefault("exit_signal", _signal(signal))
    if groups.get("file") and (line := groups.get("line", "")).isdigit():
        _extend(facts, "locations", [{"path": groups["file"], "line": int(line)}])
    binary = groups.get("binary", "").strip("'\"`‘’:")
    if binary and "binary" not in facts:
        facts["binary"] = re.split(r"[/\\]", binary)[-1]
        if re.search(r"[/\\]", binary):
            facts.setdefault("path", binary)
    if path := groups.get("path", "").strip("'\"`‘’"):
        facts.setdefault("path", path)
    if now := groups.get("now"):
        facts.setdefault("_now", instant(now))
    _add_wait(facts, groups.get("wait", ""), groups.get("unit", ""), groups.get("at", ""))


def _extend(facts: dict[str, Any], key: str, items: Iterable[Any]) -> None:
    known = facts.setdefault(key, [])
    for item in items:
        if item not in known and len(known) < _MOST_ITEMS[key]:
            known.append(item)


def _split(group: str, value: str) -> list[str]:
    if group in ("test", "code"):
        return [value]
    return [word.strip("'\"`(). ") for word in re.split(r"[,\s]+", value) if word.strip("'\"`(). ")]


def _signal(text: str) -> str:
    if text.upper().startswith("SIG"):
        return text.upper()
    named = {
        "segmentation fault": "SIGSEGV",
        "killed": "SIGKILL",
        "aborted": "SIGABRT",
        "bus error": "SIGBUS",
    }
    if text.lower() in named:
        return named[text.lower()]
    return _SIGNALS.get(int(text), text) if text.isdigit() else text


def _add_wait(facts: dict[str, Any], wait: str, unit: str, at: str) -> None:
    try:
        if wait:
            number = float(wait.replace(",", ""))
            seconds = number * _UNIT_SECONDS[_unit(unit)]
            if number >= _EPOCH_FROM:
                facts.setdefault("retry_at", int(number))
            elif "retry_after" not in facts:
                facts["retry_after"] = int(seconds) if seconds == int(seconds) else seconds
        if at:
            epoch = float(at) if at.replace(".", "").isdigit() else instant(at)
            if epoch is not None:
                facts.setdefault("retry_at", int(epoch))
    except (ValueError, OverflowError, KeyError):
        return  # not a number after all: the fact is left out


def _unit(unit: str) -> str:
    unit = unit.lower()
    if unit.startswith(("ms", "milli")):
        return "ms"
    return unit[:1]


def instant(text: str) -> float | None:
    """Epoch seconds of an HTTP date or an ISO 8601 time; None where it is neither."""
    if iso := re.match(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)", text):
        return float(calendar.timegm(tuple(int(part) for part in iso.groups())))
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError):
        return None
