"""What a patch may not do to a path, whatever is in the file; and what no text may contain. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from autofix.guard import kinds
from autofix.guard.verdict import Action, ChangedText, Finding, GuardLimits
from metabuilder.audit.redaction import redact
from metabuilder.builds.changes import FileChange

_SYMLINK, _SUBMODULE = "120000", "160000"
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_UNSAFE_TEXT = re.compile(r"[\u202a-\u202e\u2066-\u2069]")  # text that reads otherwise than it runs


def path_problem(change: FileChange) -> Finding | None:
    """Why nobody's approval can make this path part of a fix, or None."""
    path, parts = change.path, change.path.replace("\\", "/").split("/")
    reason = ""
    if not path.strip() or _UNSAFE_NAME.search(path):
        reason = "the path is empty or holds invisible characters"
    elif path.startswith(("/", "~", "\\")) or re.match(r"[A-Za-z]:", path) or {"", ".", ".."}.intersection(parts):
        reason = "the path leaves the workspace or is not in its plain form"
    if reason:
        return Finding("outside-workspace", path, 0, reason, Action.REFUSE)
    if any(re.fullmatch(r"\.git|git~\d", part.rstrip(". ").lower()) for part in parts):
        return Finding("git-internals", path, 0, "git's own directory is not the project's", Action.REFUSE)
    if kinds.is_installed(path):
        return Finding("installed-package", path, 0, "installed packages are not the project's to edit", Action.REFUSE)
    if {_SYMLINK, _SUBMODULE}.intersection((change.old_mode, change.new_mode)):
        return Finding("link", path, 0, "symbolic links and submodules are not patched", Action.REFUSE)
    return None


def is_made_executable(change: FileChange) -> bool:
    return change.old == change.new and change.old is not None and change.new_mode == "100755"


def check_file(text: ChangedText, protected: tuple[str, ...], limits: GuardLimits) -> Iterator[Finding]:
    change = text.change
    if kinds.is_protected(text.path, protected):
        yield text.finding("protected-path", f"{text.path} belongs to people")
    if change.old == change.new:
        yield text.finding("mode-changed", "the file's mode changes, and not only to executable")
    if text.is_deleted:
        rule = "test-removed" if kinds.is_test(text.path) else "file-removed"
        yield text.finding(rule, "the file is deleted or renamed away")
    elif (change.old or b"").strip() and not text.new.strip():
        rule = "test-removed" if kinds.is_test(text.path) else "code-removed"
        yield text.finding(rule, "the file is emptied")
    shadows = text.is_new and bool(text.new.strip()) and kinds.is_import_root_module(text.path)
    if kinds.is_shim(text.path) or shadows:
        yield text.finding("import-shim", "Python would import this file in place of the real module, or before any")
    content = change.new or b""
    if len(content) > limits.max_file_bytes:
        yield text.finding("too-large", f"the file has {len(content)} bytes")
    if b"\0" in content or b"\0" in (change.old or b""):
        yield text.finding("binary", "binary files cannot be judged")
    if change.new_mode == "100755" and change.old_mode not in {"100755", None} and not is_made_executable(change):
        yield text.finding("mode-changed", "the content and the mode change together")
    for number, line in text.added_lines:
        if _UNSAFE_TEXT.search(line):
            yield text.finding("hidden-text", "the line holds characters that reorder what is read", line=number)


def check_secrets(text: ChangedText) -> Iterator[Finding]:
    """A secret that the old text does not hold already. The finding never repeats it."""
    if kinds.is_lock(text.path):
        return  # their integrity hashes look like secrets
    for number, line in text.added_lines:
        redacted = redact(line)
        if redacted != line and _removed_part(line, redacted) not in text.old:
            yield text.finding("secret-added", "the line seems to hold a secret", line=number, action=Action.REFUSE)


def _removed_part(line: str, redacted: str) -> str:
    """What the redaction took out: the line without what both have at their ends."""
    start = 0
    while start < min(len(line), len(redacted)) and line[start] == redacted[start]:
        start += 1
    end = 0
    while end < min(len(line), len(redacted)) - start and line[-1 - end] == redacted[-1 - end]:
        end += 1
    return line[start : len(line) - end].strip("\"' ")


def check_size(texts: Sequence[ChangedText], limits: GuardLimits) -> Iterator[Finding]:
    if len(texts) > limits.max_files:
        yield Finding("too-large", "", 0, f"{len(texts)} files change, the limit is {limits.max_files}")
    lines = sum(_changed_lines(text) for text in texts if not kinds.is_lock(text.path))
    if lines > limits.max_changed_lines:
        yield Finding("too-large", "", 0, f"{lines} lines change, the limit is {limits.max_changed_lines}")


def _changed_lines(text: ChangedText) -> int:
    old, new = Counter(text.old.splitlines()), Counter(text.new.splitlines())
    return sum((old - new).values()) + sum((new - old).values())
