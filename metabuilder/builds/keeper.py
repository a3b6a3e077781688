"""The keeper: a small process per run that owns every process the run's steps start.

`Keeper` (execution.py) starts it; it speaks with nobody else. For each command it forks a **warden**, which
starts the command, reports its end and ends its tree. Both are child subreapers: whatever daemonises, however
often it forks, becomes their child again and stays findable. So

- the engine dies (also by SIGKILL): the keeper sees it (pidfd, closed socket) and ends everything;
- the keeper is killed: each warden sees its pipe close and ends its own tree;
- a warden is killed: its command gets SIGKILL (PDEATHSIG) and the keeper ends the orphans it inherits;
- keeper and wardens are killed together: `end_leftovers` finds the rest by the run token in its environment.

It runs as `python -I -S` with an environment of its own and imports little: a run pays about 25 ms once.
On a POSIX system other than Linux there is no subreaper: process groups are ended, what double-forks escapes.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from metabuilder.builds.processes import Process, below, descendants, end_all, signal_all, start_ticks

if TYPE_CHECKING:
    from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # a step's `kill $PPID` is no way to end its warden
# All that can be: Python ignores or handles some, and whoever started the service may have ignored others.
RESTORED = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
LIMITS = {"memory": resource.RLIMIT_DATA, "file": resource.RLIMIT_FSIZE}
COUNT_SECONDS = 0.25  # how often a warden counts its processes, where a limit is set
RUN, END_ALL, STOP = b"r", b"e", b"s"
READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def prctl(option: int, value: int) -> None:
    if LIBC:
        LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def watch_children() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable


def reap() -> tuple[dict[int, int], bool]:
    """Collect children that ended, as {pid: wait status}, and tell whether there are others still.

    Without children a subreaper has no descendants either.
    """
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if not pid:
            return ended, True
        ended[pid] = status


def count_alive() -> int:
    return sum(process.alive for process in descendants(os.getpid()))


def drain(descriptor: int, size: int = 65536) -> bytes:
    try:
        return os.read(descriptor, size)
    except BlockingIOError:
        return b""


class Warden:
    """Starts one command, waits for it, ends its tree. Dies with its last descendant."""

    def __init__(self, channel: socket.socket, output: tuple[int, int], keeper_gone: int) -> None:
        self.channel, self.keeper_gone = channel, keeper_gone
        self.output_read, self.output_write = output
        self.leader = 0
        self.status: int | None = None
        self.stop_at: float | None = None  # when the grace that follows a stop request ends
        self.over_limit = False

    def serve(self) -> None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        children = watch_children()
        to_leader = self.fork_leader()
        self.channel.sendall(json.dumps({"pid": os.getpid(), "start_ticks": start_ticks(os.getpid())}).encode())
        data = read_line(self.channel.fileno())
        if not data:  # the engine gave up before the command started; the leader sees its pipe close
            return
        with open(to_leader, "wb") as stream:
            stream.write(data)
        request = json.loads(data)
        self.watch(request, children)
        self.report(request)

    def fork_leader(self) -> int:
        """Fork the process that will become the command; return the pipe that it awaits the command from.

        Forking ahead of the request keeps the cost of two forks off the time that a command takes.
        """
        readable, to_leader = os.pipe()
        self.leader = os.fork()
        if not self.leader:
            os.close(to_leader)
            become_command(readable, self.output_write)
        os.close(readable)
        os.close(self.output_write)
        return to_leader

    def watch(self, request: dict[str, Any], children: int) -> None:
        """Return when the command has ended and, after a stop, its tree has too or the grace is over."""
        poll = select.poll()
        for descriptor in (children, self.channel.fileno(), self.keeper_gone):
            poll.register(descriptor, READABLE)
        max_processes = request["max_processes"]
        while True:
            events = dict(poll.poll(self.patience(max_processes)))
            drain(children)
            any_left = self.reap()
            if self.keeper_gone in events:
                self.end_tree()
                os._exit(1)
            if self.stop_at is None and self.status is not None:
                return
            if self.stop_at is not None and (not any_left or time.monotonic() >= self.stop_at):
                return
            if self.channel.fileno() in events and not self.stop_asked(request["grace"]):
                self.end_tree()  # the engine is gone, or gave up in the middle
                os._exit(1)
            if max_processes and count_alive() > max_processes:
                self.over_limit, self.stop_at = True, time.monotonic()

    def patience(self, max_processes: int | None) -> float | None:
        """Return how long to wait for an event, in milliseconds; None means for ever."""
        if self.stop_at is not None:
            return max(0.0, self.stop_at - time.monotonic()) * 1000
        return COUNT_SECONDS * 1000 if max_processes else None

    def stop_asked(self, grace: float) -> bool:
        """Take a stop request: SIGTERM for all now, SIGKILL after the grace. False: the engine is gone."""
        try:
            if self.channel.recv(1) != STOP:
                return False
        except OSError:
            return False
        self.stop_at = time.monotonic() + grace
        signal_all(descendants(os.getpid()), signal.SIGTERM, spare_groups=(os.getpgrp(),))
        return True

    def report(self, request: dict[str, Any]) -> None:
        """Tell the engine how the command ended, then stay with what it left running."""
        if self.stop_at is not None or self.status != 0 or not request["keep_background"]:
            self.end_tree()
        left = self.reap()
        self.channel.sendall(
            json.dumps(
                {"status": self.status, "stopped": self.stop_at is not None, "over_limit": self.over_limit}
            ).encode()
        )
        if left:
            self.stay()

    def stay(self) -> None:
        """Until they are gone, swallow what background processes write: a closed pipe would kill them."""
        while self.channel.recv(1):  # until it closes, the output belongs to the engine
            continue
        poll = select.poll()
        poll.register(self.output_read, READABLE)
        poll.register(self.keeper_gone, READABLE)
        while self.reap():
            events = dict(poll.poll(1000))
            if self.keeper_gone in events:
                self.end_tree()
            elif self.output_read in events and not os.read(self.output_read, 1 << 20):
                poll.unregister(self.output_read)

    def reap(self) -> bool:
        """Collect what ended; return whether any process is left."""
        ended, left = reap()
        self.status = ended.get(self.leader, self.status)
        return left

    def end_tree(self) -> None:
        if self.reap():
            end_all(lambda: descendants(os.getpid()), spare_groups=(os.getpgrp(),), reap=self.reap)
            self.reap()


def read_line(descriptor: int) -> bytes:
    """Read up to a line end; empty when the other side closed first."""
    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(descriptor, 1 << 20)
        if not chunk:
            return b""
        data += chunk
    return data


def become_command(commands: int, output: int) -> None:
    """In the forked child: await the command and turn into it. Never returns. Errors go to the step's log."""
    code = 126
    try:
        detach(output)
        data = read_line(commands)
        if data:
            request = json.loads(data)
            apply_limits(request)
            os.chdir(request["cwd"])
            os.execve(request["argv"][0], request["argv"], request["env"])  # noqa: S606  the argv is bash -c
    except (OSError, ValueError) as error:
        os.write(2, f"cannot start the command: {error}\n".encode(errors="replace"))
        code = 127 if isinstance(error, FileNotFoundError) else 126
    finally:
        os._exit(code)


def detach(output: int) -> None:
    """Begin a session of its own that dies with the warden, reads nothing and writes to `output`."""
    warden = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != warden:  # it died before the call above
        os._exit(126)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.set_wakeup_fd(-1)
    for number in RESTORED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def apply_limits(request: dict[str, Any]) -> None:
    """Limits per process. Memory is what a process may write to (RLIMIT_DATA): address space that runtimes
    such as V8 or Go only reserve does not count, as it would with RLIMIT_AS."""
    for name, kind in LIMITS.items():
        if request[name] is not None:
            lower_limit(kind, request[name], request[name])
    if request["cpu"] is not None:
        lower_limit(resource.RLIMIT_CPU, request["cpu"], request["cpu"] + 5)  # SIGXCPU first, then SIGKILL
    lower_limit(resource.RLIMIT_CORE, 0, None)
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")  # short of memory, the kernel ends a step before the engine or the database
    except OSError:
        return


def lower_limit(kind: int, soft: int, hard: int | None) -> None:
    _, ceiling = resource.getrlimit(kind)
    hard = ceiling if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))


class KeeperProcess:
    def __init__(self, control: socket.socket, engine: int) -> None:
        self.control, self.engine = control, engine
        self.wardens: set[int] = set()
        self.alive_read, self.alive_write = os.pipe()  # wardens see it close when the keeper is gone

    def serve(self) -> None:
        children = watch_children()
        poll = select.poll()
        poll.register(children, READABLE)
        poll.register(self.control, READABLE)
        if hasattr(os, "pidfd_open"):  # a socket that a forked child of the engine inherited would never close
            poll.register(os.pidfd_open(self.engine), READABLE)
        while os.getppid() == self.engine:
            events = dict(poll.poll())
            if children in events:
                drain(children)
                if self.reap():
                    self.end_orphans()
            if self.control.fileno() in events and not self.obey():
                break
        self.end_all()

    def obey(self) -> bool:
        """Do what the engine asks; False when it is gone."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self.control, 1, 3)
        except OSError:
            return False
        if message == RUN:
            self.start_warden(descriptors)
        elif message == END_ALL:
            self.control.sendall(self.end_all().to_bytes(4, "big"))
        return bool(message)

    def start_warden(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # recv_fds ignores MSG_CMSG_CLOEXEC
        pid = os.fork()
        if pid:
            self.wardens.add(pid)
            for descriptor in descriptors:
                os.close(descriptor)
            return
        try:
            self.control.close()
            os.close(self.alive_write)
            channel = socket.socket(fileno=descriptors[0])
            Warden(channel, (descriptors[1], descriptors[2]), self.alive_read).serve()
        except OSError:  # the engine or the keeper went away in the middle of a message
            end_all(lambda: descendants(os.getpid()), spare_groups=(os.getpgrp(),), reap=reap)
        finally:
            os._exit(0)

    def reap(self) -> bool:
        """Collect children that ended; return whether a warden was among them that had been killed."""
        ended, _ = reap()
        killed = any(ended[warden] for warden in self.wardens & ended.keys())
        self.wardens -= ended.keys()
        return killed

    def end_orphans(self) -> None:
        """End what a killed warden kept: its children are now children of the keeper."""

        def orphans() -> list[Process]:
            children = {process.pid for process in descendants(os.getpid()) if process.parent == os.getpid()}
            return below(children - self.wardens)

        end_all(orphans, spare_groups=(os.getpgrp(),), reap=self.reap)

    def end_all(self) -> int:
        """End everything below, wardens too; return how many processes of the run that was."""
        wardens = frozenset(self.wardens)
        ended = end_all(lambda: descendants(os.getpid()), spare_groups=(os.getpgrp(),), reap=self.reap)
        return len(ended - wardens)


def main(control_descriptor: int, engine: int) -> None:
    os.set_inheritable(control_descriptor, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    KeeperProcess(socket.socket(fileno=control_descriptor), engine).serve()
