"""A stored log in pieces, for a reader that follows it while it grows.

Offsets count the bytes of the whole output, as redacted, so that they stay true while the middle of a long log is
dropped and when the log is finished.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.core.files.storage import Storage, storages

from metabuilder.builds.logs import MAX_LOG_BYTES, final_name, gap_line, part_names

# Where the middle of a finished log was left out, this line stands after its first half.
GAP = re.compile(rb"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n")
GAP_AT = MAX_LOG_BYTES // 2
GAP_BYTES = 100


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes `start` to `end` of the output, stored in `name` from `skip` on."""

    name: str
    start: int
    end: int
    skip: int = 0


@dataclass(frozen=True, slots=True)
class LogWindow:
    text: str
    offset: int  # of the first byte shown; later than asked for where that was dropped
    next_offset: int
    at_end: bool  # nothing is stored beyond it
    finished: bool  # nothing will be


def read_window(ref: str, *, offset: int, limit: int) -> LogWindow:
    """Return up to `limit` bytes from `offset`; a negative offset counts from the end."""
    storage = storages["logs"]
    for _ in range(3):
        try:
            return _read(storage, ref, offset, limit)
        except FileNotFoundError:
            continue  # the tail moved on, or the log was finished, between listing and reading
    return LogWindow("", max(offset, 0), max(offset, 0), at_end=True, finished=False)


def _read(storage: Storage, ref: str, offset: int, limit: int) -> LogWindow:
    finished = storage.exists(final_name(ref))
    segments = _finished(storage, final_name(ref)) if finished else _growing(storage, ref)
    size = segments[-1].end if segments else 0
    if offset < 0:
        offset = max(0, size + offset)
    data, start = bytearray(), min(offset, size)
    for segment in segments:
        position = start + len(data)
        if segment.end <= position:
            continue
        if segment.start > position:
            if data:
                break  # a window never spans what was left out
            start = segment.start
        data += _bytes(storage, segment, start + len(data), limit - len(data))
        if len(data) >= limit:
            break
    at_end = start + len(data) >= size
    text, used = _decoded(bytes(data), final=finished and at_end)
    left_out = gap_line(start - offset).decode() if start > offset else ""
    return LogWindow(left_out + text, start, start + used, at_end=at_end, finished=finished and at_end)


def _finished(storage: Storage, name: str) -> list[Segment]:
    size = storage.size(name)
    if size > MAX_LOG_BYTES:
        with storage.open(name, "rb") as stream:
            stream.seek(GAP_AT)
            gap = GAP.match(stream.read(GAP_BYTES))
        if gap:
            after, left_out = GAP_AT + gap.end(), int(gap[1])
            tail_start = GAP_AT + left_out
            return [Segment(name, 0, GAP_AT), Segment(name, tail_start, tail_start + size - after, skip=after)]
    return [Segment(name, 0, size)] if size else []


def _growing(storage: Storage, ref: str) -> Sequence[Segment]:
    starts = [(name, int(name.rpartition("/")[2])) for name in part_names(storage, ref)]
    return [Segment(name, start, start + storage.size(name)) for name, start in starts]


def _bytes(storage: Storage, segment: Segment, position: int, count: int) -> bytes:
    with storage.open(segment.name, "rb") as stream:
        stream.seek(segment.skip + position - segment.start)
        read: bytes = stream.read(min(count, segment.end - position))
    return read


def _decoded(data: bytes, *, final: bool) -> tuple[str, int]:
    """Decode all but a character cut in half at the end, which the next window will have whole."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final)
    return text, len(data) - len(decoder.getstate()[0])
