"""What a tenant's own pattern may be. RE2 runs in linear time; these limits keep the factor small. Pure."""

from __future__ import annotations

from typing import ClassVar

import re2

from metabuilder.builds.errors import MetabuilderError

MAX_CHARACTERS = 500
MAX_PROGRAM_BYTES = 256 * 1024  # refuses nested counted repeats, whose automatons are slow
MAX_PATTERNS = 200  # of a tenant


class InvalidPattern(MetabuilderError):
    """The pattern cannot be used. Nothing was changed."""

    code: ClassVar[str] = "invalid_pattern"
    http_status: ClassVar[int] = 400


def check_pattern(pattern: str) -> None:
    """Raise InvalidPattern, saying why, for what `classify_failure` should not be given."""
    if not pattern.strip():
        raise InvalidPattern("the pattern is empty")
    if len(pattern) > MAX_CHARACTERS:
        raise InvalidPattern(f"the pattern is longer than {MAX_CHARACTERS} characters")
    if not pattern.isprintable():
        raise InvalidPattern("the pattern holds a character that cannot be printed; write it as an escape")
    options = re2.Options()
    options.max_mem, options.log_errors = MAX_PROGRAM_BYTES, False
    try:
        compiled = re2.compile(f"(?m){pattern}".encode(), options)
    except re2.error as error:
        reason = error.args[0] if error.args else "no reason given"
        shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidPattern(f"RE2 refuses the pattern: {shown}") from error
    if compiled.search(b"") or compiled.search(b"\n"):
        raise InvalidPattern("the pattern matches an empty line, so it would match every log")
