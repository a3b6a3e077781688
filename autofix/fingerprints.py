"""One name for the same failure in any run: what differs from run to run is taken out before hashing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from autofix.signals import FailureType

# Order matters: an address contains numbers, a path contains hex. Applied to one message of at most 300 characters.
_VOLATILE = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "<time>"),
        (r"\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b(?!:)", "<time>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>"),
        (r"\b0x[0-9a-f]+\b", "<id>"),
        (r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b", "<id>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<address>"),
        (
            r"(?:[a-z]:)?(?:\\[\w.@ +~-]+){2,}|(?:(?<=[\s'\"(=:<\[])|^)(?:~|\.{1,2})?(?:/[\w.@+~-]+)+/?",
            "<path>",
        ),
        (r"\b[\w.@+-]+(?:/[\w.@+-]+)+\.\w+", "<path>"),
        (r"\d+(?:[.,]\d+)*", "<n>"),
    )
)
_IDENTIFYING = ("module", "names", "binary", "packages", "codes", "migrations", "http_status", "exit_signal")


def steady(text: str) -> str:
    """`text` without paths, numbers, ids, times and addresses."""
    text = text.lower()
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def fingerprint(type_: FailureType, rule: str, message: str, details: Mapping[str, Any]) -> str:
    """Sixteen hex digits. Equal for equal type, rule, steady message and named facts, whatever their order."""
    facts = [f"{key}={','.join(_words(details[key]))}" for key in _IDENTIFYING if details.get(key)]
    tests = [steady(test) for test in _words(details.get("tests", ()))][:50]
    material = "\n".join([type_, rule, steady(message), *facts, *tests])
    return hashlib.sha256(material.encode("utf-8", "replace")).hexdigest()[:16]


def _words(value: Any) -> list[str]:
    if isinstance(value, str | int | float):
        return [str(value)]
    return sorted({str(item) for item in value}) if isinstance(value, Iterable) else []
