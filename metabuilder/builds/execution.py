"""Running the commands of a run's steps and ending whatever they leave. No ORM.

A `Keeper` per run starts a small process (keeper.py) under which every process of the run's steps lives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from metabuilder.builds import keeper, processes
from metabuilder.builds.commands import Command, Execution, ExecutionResult, Limits, Log, Pipes, WardenLost
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.leftovers import ProcessIdentity, end_leftovers

__all__ = [
    "Command",
    "ExecutionResult",
    "Keeper",
    "KeeperLost",
    "Limits",
    "ProcessIdentity",
    "end_leftovers",
]

START_KEEPER = (
    "import sys; sys.path.append(sys.argv[1]); from metabuilder.builds import keeper; "
    "keeper.main(int(sys.argv[2]), int(sys.argv[3]))"
)


class KeeperLost(MetabuilderError):
    """The run's keeper process was killed. What it kept has been ended; a new Keeper can run commands."""

    code, http_status = "keeper_lost", 500

    def __init__(self, run_token: str) -> None:
        super().__init__(f"the keeper process of run {run_token} was killed")


class Keeper:
    """Owns every process that a run's steps start on this host. One command at a time; close it at the end.

    `run_token` marks the processes' environment, for `end_leftovers`.
    """

    def __init__(self, run_token: str) -> None:
        self._run_token = run_token
        self._control, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[2])
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", START_KEEPER, root, *arguments],
                env={processes.RUN_TOKEN_VARIABLE: run_token},  # nothing of the service's own environment
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in a terminal is the engine's to handle
            )
        self.identity = ProcessIdentity.of(self._process.pid)
        self._stopped: list[processes.Process] = []
        self._spare: Pipes | None = self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def execute(
        self,
        command: Command,
        log: Log,
        *,
        on_start: Callable[[ProcessIdentity], None] | None = None,
        should_stop: Callable[[], str | None] | None = None,
        keep_background: bool = True,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecutionResult:
        """Run `command`, its output into `log`, and return when its main process has ended.

        `on_start` is called before the command starts; when it raises, the command never runs. `should_stop`
        is asked four times a second; a reason ends the command. `on_output` gets redacted text. A command
        that fails, times out or is stopped takes its whole tree along at once; after exit 0 background
        processes live on, unless `keep_background` is false. When anything here raises, the command's tree is
        ended.
        """
        with self._take_spare() as pipes:
            execution = Execution(pipes, command, log, should_stop, on_output)
            try:
                if on_start:
                    on_start(pipes.identity)
                return execution.run(self._run_token, keep_background=keep_background)
            except WardenLost as lost:
                return self._lost(execution, lost)

    def has_background(self) -> bool:
        """Whether anything that a finished command started is alive; the keeper's own processes do not count."""
        own = _command_line(self.identity.pid)
        found = processes.descendants(self.identity.pid)
        return any(_command_line(process.pid) not in (own, b"") for process in found)

    def end_all(self) -> int:
        """End everything the run's steps left behind, however it detached; return how many processes."""
        self._discard_spare()
        self._stopped = []
        try:
            self._control.sendall(keeper.END_ALL)
            answer = self._control.recv(4, socket.MSG_WAITALL)
        except OSError:
            answer = b""
        if len(answer) == 4:
            return int.from_bytes(answer, "big")
        return end_leftovers(self.identity.to_json(), self._run_token)

    def pause(self) -> None:
        """Stop what earlier commands left running, until `resume`; commands that follow run as ever."""
        self._discard_spare()  # whoever awaits the next command must not be stopped

        def left_behind() -> list[processes.Process]:
            group = self._process.pid  # of the keeper and its wardens
            return [process for process in processes.descendants(self._process.pid) if process.group != group]

        stopped = processes.stop_all(left_behind, spare_groups=())
        known = {process.pid for process in self._stopped}
        self._stopped += [process for process in stopped if process.pid not in known]
        self._spare = self._prepare()

    def resume(self) -> None:
        """Let what `pause` stopped run on."""
        for process in self._stopped:
            processes.send_signal(process, signal.SIGCONT)
        self._stopped = []

    def close(self) -> None:
        """End everything, the keeper too. Safe to call twice."""
        if self._control.fileno() < 0:
            return
        self.end_all()
        self._control.close()
        try:
            self._process.wait(processes.END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _discard_spare(self) -> None:
        if self._spare:
            self._spare.discard()
            self._spare = None

    def _prepare(self) -> Pipes | None:
        """Have the next command's warden forked, so that no command waits for it. None: no keeper."""
        pipes = Pipes()
        try:
            pipes.send_theirs(self._control)
        except OSError:
            pipes.close()
            return None
        return pipes

    @contextlib.contextmanager
    def _take_spare(self) -> Iterator[Pipes]:
        pipes, self._spare = self._spare, None
        if not pipes or not pipes.ready():  # there is none yet, or somebody killed the waiting warden
            pipes = self._prepare()
            if not pipes or not pipes.ready():
                end_leftovers(None, self._run_token)
                raise KeeperLost(self._run_token)
        with contextlib.closing(pipes):
            yield pipes
        self._spare = self._prepare()

    def _lost(self, execution: Execution, lost: WardenLost) -> ExecutionResult:
        """The step killed its warden, or somebody the keeper. The keeper ends what a warden leaves behind."""
        try:
            self._process.wait(0.1)
        except subprocess.TimeoutExpired:
            return execution.result("killed", None, "the process that watched the command was killed")
        end_leftovers(None, self._run_token)
        raise KeeperLost(self._run_token) from lost


def _command_line(pid: int) -> bytes:
    """Empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
