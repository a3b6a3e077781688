"""One command of a step: what it is, what it may use, how it ended; and the engine's end of running it."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import functools
import json
import os
import select
import shutil
import socket
import struct
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from metabuilder.builds import keeper, processes
from metabuilder.builds.leftovers import ProcessIdentity

GRACE_SECONDS = 2.0  # between SIGTERM and SIGKILL
POLL_SECONDS = 0.25  # how often should_stop is asked and the log may flush
CHUNK = 1 << 20


class Log(Protocol):
    """What `execute` needs of logs.LogWriter."""

    def append(self, data: bytes) -> bytes: ...  # returns what became final, redacted
    def flush_if_due(self) -> None: ...

    @property
    def size(self) -> int: ...
    @property
    def truncated(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one step may use; None means no limit.

    Memory (what a process may write to), CPU and file size hold for each process. `max_processes` holds for
    the step's whole tree, which is counted four times a second and ended above it: RLIMIT_NPROC would count
    the user's other processes too and does not bind root at all.
    """

    max_memory_bytes: int | None = None
    max_cpu_seconds: int | None = None
    max_file_bytes: int | None = None
    max_processes: int | None = None
    max_log_bytes: int = 8 << 20  # given to the LogWriter by whoever opens it


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A script for `bash -c`. `env` is the whole environment (environment.step_environment builds it)."""

    run: str
    cwd: Path
    env: Mapping[str, str]
    timeout_seconds: float
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """How a command ended. `end` is exited, timed_out or killed; a signal's exit code is 128 + its number."""

    end: str
    exit_code: int | None  # None: its warden was killed, so nobody knows
    seconds: float
    log_bytes: int
    truncated: bool
    stop_reason: str | None = None


@functools.cache
def bash() -> str:
    found = shutil.which("bash")
    if not found:
        raise FileNotFoundError("bash is not on PATH; steps run under bash")
    return found


class WardenLost(Exception):
    """The process that watches the command was killed, by the step itself or from outside."""


class Pipes:
    """A pipe for output and a channel to the warden that will start one command."""

    def __init__(self) -> None:
        self.channel, self._theirs = socket.socketpair()
        self.output, self._output_write = os.pipe()
        os.set_blocking(self.output, False)
        _enlarge(self.output)
        self.identity: ProcessIdentity  # the warden, the root of the command's tree; known once ready

    def send_theirs(self, control: socket.socket) -> None:
        """Give the warden's ends to the keeper, which forks the warden; ours are closed in any case."""
        try:
            descriptors = [self._theirs.fileno(), self.output, self._output_write]
            socket.send_fds(control, [keeper.RUN], descriptors)
        finally:
            self._theirs.close()
            os.close(self._output_write)

    def ready(self) -> bool:
        """Wait for the warden. False when it was killed; the pipes are closed then."""
        try:
            message = self.receive()
        except WardenLost:
            self.close()
            return False
        self.identity = ProcessIdentity.of(message["pid"], message["start_ticks"])
        return True

    def close(self) -> None:
        self.channel.close()  # to a warden whose command still runs this means: end it
        os.close(self.output)

    def discard(self) -> None:
        """Close unused pipes and wait until the processes that were to use them are gone."""
        self.channel.settimeout(1.0)
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)
            while self.channel.recv(4096):
                continue
        self.close()

    def send(self, data: bytes) -> None:
        try:
            self.channel.sendall(data)
        except OSError as error:
            raise WardenLost from error

    def receive(self) -> dict[str, Any]:
        """Return the warden's next message. Each is small, hence sent and received in one piece."""
        try:
            data = self.channel.recv(4096)
        except OSError as error:
            raise WardenLost from error
        if not data:
            raise WardenLost
        message: dict[str, Any] = json.loads(data)
        return message


class Execution:
    """One command from its start to its end."""

    def __init__(
        self,
        pipes: Pipes,
        command: Command,
        log: Log,
        should_stop: Callable[[], str | None] | None,
        on_output: Callable[[str], None] | None,
    ) -> None:
        self._pipes, self._command, self._log = pipes, command, log
        self._should_stop, self._on_output = should_stop, on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._started_at = time.monotonic()
        self._stop: tuple[str, str | None] | None = None  # the end and the reason that we asked for

    def run(self, run_token: str, *, keep_background: bool) -> ExecutionResult:
        limits = self._command.limits
        request = {
            "argv": [bash(), "-c", self._command.run],
            "cwd": str(self._command.cwd),
            "env": {**self._command.env, processes.RUN_TOKEN_VARIABLE: run_token},
            "keep_background": keep_background,
            "grace": GRACE_SECONDS,
            "memory": limits.max_memory_bytes,
            "cpu": limits.max_cpu_seconds,
            "file": limits.max_file_bytes,
            "max_processes": limits.max_processes,
        }
        self._started_at = time.monotonic()
        self._pipes.send(json.dumps(request).encode() + b"\n")
        ended = self._watch()
        if self._stop and ended["stopped"]:
            end, reason = self._stop
        elif ended["over_limit"]:
            end, reason = "killed", f"more than {limits.max_processes} processes"
        else:
            end, reason = "exited", None
        return self.result(end, _exit_code(ended["status"]), reason)

    def result(self, end: str, exit_code: int | None, reason: str | None) -> ExecutionResult:
        return ExecutionResult(
            end=end,
            exit_code=exit_code,
            seconds=time.monotonic() - self._started_at,
            log_bytes=self._log.size,
            truncated=self._log.truncated,
            stop_reason=reason,
        )

    def _watch(self) -> dict[str, Any]:
        """Move output into the log until the warden says how the command ended."""
        poll = select.poll()
        poll.register(self._pipes.output, keeper.READABLE)
        poll.register(self._pipes.channel, keeper.READABLE)
        asked_at = 0.0
        while True:
            events = dict(poll.poll(self._patience() * 1000))
            if self._pipes.channel.fileno() in events:
                ended = self._pipes.receive()
                self._take_rest()
                return ended
            if self._pipes.output in events and not self._take(CHUNK):
                poll.unregister(self._pipes.output)  # the command closed it and runs on
            now = time.monotonic()
            if now - asked_at >= POLL_SECONDS:
                asked_at = now
                self._log.flush_if_due()
                self._ask(now)

    def _patience(self) -> float:
        if self._stop:
            return POLL_SECONDS
        return max(0.001, min(POLL_SECONDS, self._deadline - time.monotonic()))

    @property
    def _deadline(self) -> float:
        return self._started_at + self._command.timeout_seconds

    def _ask(self, now: float) -> None:
        """Ask the warden to stop the command, once, when its time is up or somebody wants it."""
        if self._stop:
            return
        if now >= self._deadline:
            self._stop = ("timed_out", None)
        elif self._should_stop and (reason := self._should_stop()):
            self._stop = ("killed", reason)
        if self._stop:
            self._pipes.send(keeper.STOP)

    def _take(self, size: int) -> int:
        try:
            data = os.read(self._pipes.output, size)
        except BlockingIOError:
            return 1
        if data:
            self._show(self._log.append(data))
        return len(data)

    def _take_rest(self) -> None:
        """Take what stands in the pipe now; a background process may go on writing for ever."""
        waiting: int = struct.unpack("i", fcntl.ioctl(self._pipes.output, termios.FIONREAD, b"\0" * 4))[0]
        while waiting > 0 and (taken := self._take(waiting)):
            waiting -= taken

    def _show(self, redacted: bytes) -> None:
        if self._on_output and redacted:
            self._on_output(self._decoder.decode(redacted))


def _enlarge(pipe: int) -> None:
    """A larger pipe means fewer switches; unprivileged users may be refused it."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CHUNK)
        except OSError:
            return


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
