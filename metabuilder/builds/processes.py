"""Linux processes by /proc: who descends from whom, and how to end a whole tree without missing anyone.

The keeper imports this at every start, so the imports stay few and light (no dataclasses, no typing).
On a POSIX system without /proc nothing is found here; process groups alone then end what a step left.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection

RUN_TOKEN_VARIABLE = "METABUILDER_RUN_TOKEN"  # noqa: S105  the name of a variable that marks a run's processes
END_SECONDS = 10.0  # a process in uninterruptible sleep may outlive its SIGKILL; nobody waits longer for it
STOP_SECONDS = 1.0  # likewise for its SIGSTOP
STOPPED = "Tt"


class Process:
    """One row of /proc/<pid>/stat. `pid` and `start_ticks` together are never reused within one boot."""

    __slots__ = ("group", "parent", "pid", "start_ticks", "state")

    def __init__(self, pid: int, state: str, parent: int, group: int, start_ticks: int) -> None:
        self.pid, self.state, self.parent, self.group, self.start_ticks = (
            pid,
            state,
            parent,
            group,
            start_ticks,
        )

    @property
    def alive(self) -> bool:
        return self.state not in "ZX"  # a zombie only waits to be reaped


def read_process(pid: int) -> Process | None:
    """Return what /proc says about `pid`; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()  # the name before ")" may hold anything
        return Process(pid, fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[19]))
    except (OSError, IndexError):
        return None


def start_ticks(pid: int) -> int:
    """Return when `pid` started, in clock ticks since boot; 0 when it is gone."""
    process = read_process(pid)
    return process.start_ticks if process else 0


def all_processes() -> list[Process]:
    """Return every process that /proc shows, newest pid first."""
    try:
        pids = sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True)
    except OSError:
        return []
    return [process for pid in pids if (process := read_process(pid))]


def descendants(root: int) -> list[Process]:
    """Return everything below `root`, without `root` itself. Zombies count: see `end_all`."""
    return [process for process in below({root}) if process.pid != root]


def below(roots: Collection[int]) -> list[Process]:
    """Return the roots and everything below them."""
    by_parent: dict[int, list[Process]] = {}
    found: list[Process] = []
    for process in all_processes():
        by_parent.setdefault(process.parent, []).append(process)
        if process.pid in roots:
            found.append(process)
    for process in found:  # grows while it is walked
        found += [child for child in by_parent.get(process.pid, ()) if child.pid not in roots]
    return found


def send_signal(process: Process, number: int) -> bool:
    """Signal exactly this process, never one that took over its pid. Return whether it was delivered."""
    try:
        handle = os.pidfd_open(process.pid)
    except (OSError, AttributeError):  # gone; or a kernel before 5.3, where the window of reuse is accepted
        return not hasattr(os, "pidfd_open") and _kill(process.pid, number)
    try:
        if start_ticks(process.pid) != process.start_ticks:
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _kill(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def signal_all(processes: Collection[Process], number: int, *, spare_groups: Collection[int]) -> set[int]:
    """Signal processes and their groups; return the pids reached.

    A signal to a group also reaches the child that a member is forking at that very moment, a signal to a pid
    does not. A step's groups hold only its own processes: its leader begins a session.
    """
    for group in {process.group for process in processes} - set(spare_groups):
        try:
            os.killpg(group, number)
        except OSError:  # the last member just left, or belongs to another user
            continue
    return {process.pid for process in processes if send_signal(process, number)}


def end_all(
    find: Callable[[], list[Process]],
    *,
    spare_groups: Collection[int],
    reap: Callable[[], object] = lambda: None,
) -> set[int]:
    """SIGKILL what `find` returns until nothing that can be killed is left. Return the pids ended.

    /proc is not read at one instant: the child of a process that is just exiting may be missed, for it is
    handed to another parent meanwhile. Hence a zombie means "look again", and a reaper of the tree, which
    collects its zombies, ends only when there are none. To others a zombie may stay for ever; three looks
    have to do.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + END_SECONDS
    looks_left = 3
    while (found := find()) and looks_left and time.monotonic() < deadline:
        alive = [process for process in found if process.alive]
        fresh = {process.pid for process in alive} - ended
        ended |= signal_all(alive, signal.SIGKILL, spare_groups=spare_groups)
        reap()
        if not fresh & ended:  # only zombies, what is on its way out, or another user's processes (sudo)
            time.sleep(0.002)
            looks_left -= not any(process.pid in ended for process in alive)
    return ended


def stop_all(find: Callable[[], list[Process]], *, spare_groups: Collection[int]) -> list[Process]:
    """SIGSTOP what `find` returns until nothing of it runs; return what was stopped, for SIGCONT.

    What had stopped of its own accord is not among them.
    """
    asleep = {process.pid for process in find() if process.state in STOPPED}
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        running = [process for process in find() if process.alive and process.state not in STOPPED]
        if not running:
            break
        signal_all(running, signal.SIGSTOP, spare_groups=spare_groups)
        time.sleep(0.001)
    return [process for process in find() if process.alive and process.pid not in asleep]


def carriers(token: str) -> list[Process]:
    """Return the processes whose environment carries the run token, with everything below them.

    A token `a:b` is also found as `a`: a run's token stands for those of all its holders.
    """
    mark = f"{RUN_TOKEN_VARIABLE}={token}".encode()
    marks = (mark + b"\0", mark + b":")
    environments = ((process.pid, _environment(process.pid)) for process in all_processes())
    marked = {pid for pid, environment in environments if any(mark in environment for mark in marks)}
    mine = _self_and_ancestors()
    return [process for process in below(marked - mine) if process.pid not in mine]


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return environ.read() + b"\0"
    except OSError:  # another user's process, or gone
        return b""


def _self_and_ancestors() -> set[int]:
    found: set[int] = set()
    process = read_process(os.getpid())
    while process:
        found.add(process.pid)
        process = read_process(process.parent)
    return found
