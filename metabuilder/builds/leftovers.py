"""Finding a run's processes again after the engine that started them crashed, and ending them safely."""

from __future__ import annotations

import functools
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metabuilder.builds import processes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """Enough to find a process again after a crash, and never another that took over its pid.

    `boot_id` and `pid_namespace` together tell hosts and containers apart, also where they share a name.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int, start_ticks: int | None = None) -> ProcessIdentity:
        ticks = processes.start_ticks(pid) if start_ticks is None else start_ticks
        return cls(**this_machine(), pid=pid, start_ticks=ticks)

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ProcessIdentity:
        return cls(**{name: data[name] for name in cls.__slots__})

    def is_alive(self) -> bool:
        """Return whether exactly this process still runs, here."""
        process = processes.read_process(self.pid) if self.is_here() else None
        return process is not None and process.alive and process.start_ticks == self.start_ticks

    def is_here(self) -> bool:
        return this_machine() == {
            "host": self.host,
            "boot_id": self.boot_id,
            "pid_namespace": self.pid_namespace,
        }


@functools.cache
def this_machine() -> dict[str, str]:
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pid_namespace = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux: no process is ever recognised, so nothing is killed by mistake
        boot_id = pid_namespace = ""
    return {"host": socket.gethostname(), "boot_id": boot_id, "pid_namespace": pid_namespace}


def end_leftovers(identity: Mapping[str, Any] | None, run_token: str) -> int:
    """End what a crashed engine left of a run on this host: the tree below `identity` (a keeper's or a
    command's, as stored) and whatever carries the run token. Return how many processes that was.

    Nothing is done for an identity of another host, boot or container; a pid that was reused is left alone.
    """
    known = ProcessIdentity.from_json(identity) if identity else None
    if known and not known.is_here():
        return 0
    spare = (os.getpgrp(),)
    ended: set[int] = set()
    if known:
        # The keeper itself goes last: as long as it lives, orphans of its tree become its children.
        ended = processes.end_all(
            lambda: processes.descendants(known.pid) if known.is_alive() else [], spare_groups=spare
        )
        root = processes.read_process(known.pid)
        if root and known.is_alive() and processes.send_signal(root, signal.SIGKILL):
            ended.add(root.pid)
    ended |= processes.end_all(lambda: processes.carriers(run_token), spare_groups=spare)
    return len(ended)
