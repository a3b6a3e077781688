"""Logs of step executions: redacted while they are written, bounded, readable while they grow.

Everything goes through the Django storage alias `logs`. A running log is a directory of parts, each named
after the offset of its first byte; `close` makes one object of them. What lies between two parts, where the
tail of a long log has moved on, shows as a line that says how much was left out.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from metabuilder.audit.redaction import Redactor

MAX_LOG_BYTES = 8 << 20
FLUSH_SECONDS = 0.5  # how old what a reader sees may be
READ_BYTES = 256 << 10
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def log_ref(run_id: UUID | str, step_id: UUID | str, number: int) -> str:
    """Return the name of the log of a step's `number`-th execution."""
    return f"{run_id}/{step_id}/{number:05d}"


def open_log(ref: str, *, secrets: Sequence[str] = (), max_bytes: int = MAX_LOG_BYTES) -> LogWriter:
    return LogWriter(storages["logs"], ref, secrets=secrets, max_bytes=max_bytes)


def stored_log(ref: str) -> StoredLog:
    return StoredLog(storages["logs"], ref)


def delete_log(ref: str) -> None:
    """Remove a log, finished or not. A log that does not exist is fine."""
    storage = storages["logs"]
    for name in [final_name(ref), *part_names(storage, ref)]:
        storage.delete(name)


def final_name(ref: str) -> str:
    return f"{checked(ref)}.log"


def part_name(ref: str, offset: int) -> str:
    return f"{checked(ref)}.parts/{offset:015d}"


def checked(ref: str) -> str:
    if not REF.fullmatch(ref) or ".." in ref:
        raise ValueError(f"not a log reference: {ref!r}")
    return ref


def part_names(storage: Storage, ref: str) -> list[str]:
    try:
        _, names = storage.listdir(f"{checked(ref)}.parts")
    except FileNotFoundError:
        return []
    return [part_name(ref, offset) for offset in sorted(int(name) for name in names if name.isdigit())]


def gap_line(left_out: int) -> bytes:
    return f"\n[... {left_out} bytes left out ...]\n".encode()


class LogWriter:
    """Writes one log. Keeps the first and the last half of `max_bytes`, in memory until `close`."""

    def __init__(
        self,
        storage: Storage,
        ref: str,
        *,
        secrets: Sequence[str] = (),
        max_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        self.ref, self._storage = checked(ref), storage
        self._redactor = Redactor(secrets)
        self._head_bytes = self._tail_bytes = max(1, max_bytes // 2)
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.size = 0  # bytes appended so far, redacted; more than what is kept when `truncated`
        self._parts: deque[tuple[int, int]] = deque()  # (offset, length) of what a reader can see
        self._flushed_at = time.monotonic()
        self._closed = False

    @property
    def truncated(self) -> bool:
        return self.size > len(self._head) + self._tail_size

    def append(self, data: bytes) -> bytes:
        """Take output as it comes; return what became final, redacted. An incomplete line waits."""
        redacted = self._redactor.feed(data)
        self._keep(redacted)
        return redacted

    def flush_if_due(self) -> None:
        """Let readers see what has come, at most twice a second."""
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self._flush()

    def close(self) -> None:
        """Make the log one object. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._keep(self._redactor.finish())
        self._save(final_name(self.ref), b"".join(self._content()))
        for offset, _ in self._parts:
            self._storage.delete(part_name(self.ref, offset))
        if self._parts:
            self._storage.delete(f"{self.ref}.parts")  # a directory, where the storage has directories
            self._parts.clear()

    def _content(self) -> Iterator[bytes]:
        yield bytes(self._head)
        if self.truncated:
            yield gap_line(self.size - len(self._head) - self._tail_size)
        yield from self._tail

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data[-self._tail_bytes :])
        self._tail_size += len(self._tail[-1])
        while self._tail_size > self._tail_bytes:
            excess = self._tail_size - self._tail_bytes
            first = self._tail.popleft()
            if len(first) > excess:
                self._tail.appendleft(first[excess:])
            self._tail_size -= min(excess, len(first))

    def _flush(self) -> None:
        """Write what readers have not seen as parts; drop the parts that the tail has moved past."""
        self._flushed_at = time.monotonic()
        seen = sum(self._parts[-1]) if self._parts else 0
        if seen == self.size:
            return
        tail_start = self.size - self._tail_size
        if seen < len(self._head):
            self._save_part(seen, bytes(self._head[seen:]))
        if self._tail_size:
            start = max(seen, tail_start)
            self._save_part(start, b"".join(self._tail)[start - tail_start :])
        for offset, length in [part for part in self._parts if len(self._head) <= part[0]]:
            if offset + length <= tail_start:
                self._storage.delete(part_name(self.ref, offset))
                self._parts.remove((offset, length))

    def _save_part(self, offset: int, data: bytes) -> None:
        if data:
            self._save(part_name(self.ref, offset), data)
            self._parts.append((offset, len(data)))

    def _save(self, name: str, data: bytes) -> None:
        saved = self._storage.save(name, ContentFile(data))
        if saved != name:  # a storage keeps what has the name already; an execution's log has one writer
            self._storage.delete(name)
            self._storage.delete(saved)
            self._storage.save(name, ContentFile(data))


class StoredLog:
    """A log as it is stored, finished or still growing. Implements the classifier's LogReader."""

    def __init__(self, storage: Storage, ref: str) -> None:
        self.ref, self._storage = checked(ref), storage

    @property
    def finished(self) -> bool:
        return self._storage.exists(final_name(self.ref))

    def chunks(self) -> Iterator[bytes]:
        """Yield the log from its start. A log that does not exist yet is empty."""
        if not self.finished and (names := part_names(self._storage, self.ref)):
            yield from self._growing(names)
            return
        try:
            yield from self._read(final_name(self.ref))
        except FileNotFoundError:
            return

    def _growing(self, names: Sequence[str]) -> Iterator[bytes]:
        expected = 0
        for name in names:
            offset = int(name.rpartition("/")[2])
            if offset > expected:
                yield gap_line(offset - expected)
            expected = offset
            try:
                for chunk in self._read(name):
                    expected += len(chunk)
                    yield chunk
            except FileNotFoundError:
                continue  # the tail moved past it, or the log was finished meanwhile

    def text(self, max_bytes: int | None = None) -> str:
        """Return the log, or its last `max_bytes`, as text; bytes that are not UTF-8 are replaced."""
        data = b"".join(self.chunks()) if max_bytes is None else self.tail(max_bytes)
        return data.decode("utf-8", "replace")

    def tail(self, max_bytes: int) -> bytes:
        """Return the last `max_bytes`."""
        kept = b""
        for chunk in self.chunks():
            kept = (kept + chunk)[-max_bytes:] if max_bytes else b""
        return kept

    def _read(self, name: str) -> Iterator[bytes]:
        with self._storage.open(name, "rb") as stream:
            while chunk := stream.read(READ_BYTES):
                yield chunk
