"""Reading a log of any size: blocks of whole lines, cleaned of colours, progress, timestamps and CI prefixes.

Line numbers survive: cleaning never removes or adds a line end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import re2

from autofix.signals import LogReader

BLOCK_BYTES = 128 * 1024
LINE_BYTES = 8 * 1024  # longer lines keep their head and their tail
HEAD_BYTES = LINE_BYTES // 4

_TIME = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_FOLD = re.compile(rb"travis_fold:(start|end):([A-Za-z_]+)[.\d]*(?:\r|\x1b?\[0K)*")
_TRAVIS_TIME = re.compile(
    rb"travis_time:(?:start|end):[0-9a-f]{6,10}(?::start=\d+,finish=\d+,duration=\d+[\w,=]*)?(?:\r|\x1b?\[0K)*"
)
_SECTION = re.compile(rb"section_(?:start|end):\d+:[\w.-]+(?:\[[^\]\n]*\])?(?:\r|\x1b?\[0K)*")
_ESCAPES = re.compile(
    rb"\x1b\][^\x07\n]{0,500}(?:\x07|\x1b\\)|\x1b_bk;[^\x07\n]{0,60}\x07"
    rb"|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]"
    rb"|\[(?:\d{1,3}(?:;\d{1,3}){0,4})?m(?=[^\w]|[A-Z0-9]|$)|\[0K"
)
_OVERWRITTEN = re.compile(rb"(?m)^[^\n]*\r(?=[^\r\n])")
_BACKSPACES = re.compile(rb"[^\n\x08]?\x08+")
# What runners and wrappers put before a line. Each alternative is anchored at a line start; any number may follow.
_PREFIX = re.compile(
    rb"(?m)^(?:\xef\xbb\xbf|[^\t\n]{1,100}\t[^\t\n]{1,100}\t(?="
    + _TIME
    + rb"|\xef\xbb\xbf)|"
    + _TIME
    + rb"(?:[ \t]\d\d[OE]\+?)?(?:[ \t]|$)"
    rb"|\[(?:task |vcs |taskcluster )?" + _TIME + rb"\][ \t]*|\[\d\d:\d\d:\d\d(?:\.\d+)?\][ \t]"
    rb"|\d\d:\d\d:\d\d(?:[.,]\d{3})?[ \t]+(?:(?:INFO|ERROR|WARNING|CRITICAL) - )?"
    rb"|(?:[\w.-]{2,40}(?:_|-)\d{1,3}[ ]+|[\w.-]{2,30} {2,20})\|[ ](?=\S)"
    rb"|#\d{1,3} \d{1,5}\.\d{1,3}[ ]|#\d{1,3} (?=ERROR)"
    rb"|[ \t]+\[(?:junit|javac|java|exec|apply|groovyc|scalac|testng|mkdir)\][ ]?"
    rb"|##\[(?:error|debug)\]|::error[^:\n]{0,300}::)+"
)
# A cheap first look for any of these, since most blocks of most logs have none.
_MAY_HAVE_PREFIX = re2.compile(
    rb"(?m)^(?:\xef\xbb\xbf|[^\t\n]+\t[^\t\n]+\t|\d{4}-\d\d-\d\d|\[(?:\d|task |vcs |taskcluster )|\d\d:\d\d:\d\d"
    rb"|[\w.-]+ +\||#\d|[ \t]+\[[a-z]+\]|##\[|::error)"
)
_MAY_HAVE_ESCAPES = re2.compile(rb"\x1b|\[[\d;]*m|\[0K")
_LONG_LINE = re.compile(rb"(?m)^[^\n]{%d,}" % LINE_BYTES)
_CLOSING = frozenset((b"after_failure", b"after_script", b"after_success", b"after_deploy", b"before_cache", b"cache"))


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines in a row; `first_line` is the 1-based number of the first. Each line ends in a line feed."""

    first_line: int
    text: bytes
    closing: tuple[tuple[int, bool], ...] = field(default=())  # (line, begins) of Travis folds that run after the build


def blocks(log: str | bytes | LogReader) -> Iterator[Block]:
    """Yield the cleaned log, in order. Holds one block at a time; a line of any length is cut to LINE_BYTES."""
    number = 1
    for raw in _whole_lines(_pieces(log)):
        yield Block(number, _clean(raw), tuple(_closing_folds(raw, number)) if b"travis_fold" in raw else ())
        number += raw.count(b"\n")


def _pieces(log: str | bytes | LogReader) -> Iterator[bytes]:
    if isinstance(log, str):
        for start in range(0, len(log), BLOCK_BYTES):
            yield log[start : start + BLOCK_BYTES].encode("utf-8", "replace")
        return
    source: Iterable[bytes] = (log,) if isinstance(log, bytes | bytearray | memoryview) else log.chunks()
    for chunk in source:
        for start in range(0, len(chunk), BLOCK_BYTES):
            yield bytes(chunk[start : start + BLOCK_BYTES])


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        rest += piece
        cut = rest.rfind(b"\n") + 1
        if cut >= BLOCK_BYTES // 2:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) - cut > BLOCK_BYTES:  # one endless line
            rest = rest[: cut + HEAD_BYTES] + rest[-(LINE_BYTES - HEAD_BYTES) :]
    if rest:
        yield rest + b"\n"


def _clean(raw: bytes) -> bytes:
    text = raw.replace(b"\x00", b"").replace(b"\r\n", b"\n")
    if b"travis_" in text:
        text = _TRAVIS_TIME.sub(b"", _FOLD.sub(b"", text))
    if b"section_" in text:
        text = _SECTION.sub(b"", text)
    if _MAY_HAVE_ESCAPES.search(text):
        text = _ESCAPES.sub(b"", text)
    if b"\r" in text:
        text = _OVERWRITTEN.sub(b"", text).replace(b"\r", b"")
    if b"\x08" in text:
        text = _BACKSPACES.sub(b"", text)
    if _MAY_HAVE_PREFIX.search(text):
        text = _PREFIX.sub(b"", text)
    if _has_long_line(text):
        text = _LONG_LINE.sub(lambda line: line[0][:HEAD_BYTES] + line[0][HEAD_BYTES - LINE_BYTES :], text)
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace").encode()
    return text


def _has_long_line(text: bytes) -> bool:
    start = 0
    while len(text) - start > LINE_BYTES:
        end = text.rfind(b"\n", start, start + LINE_BYTES)
        if end < 0:
            return True
        start = end + 1
    return False


def _closing_folds(raw: bytes, first_line: int) -> Iterator[tuple[int, bool]]:
    for fold in _FOLD.finditer(raw):
        if fold[2] in _CLOSING:
            yield first_line + raw.count(b"\n", 0, fold.start()), fold[1] == b"start"
