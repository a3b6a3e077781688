"""Steps run as real processes here. A process is found again by a unique argument."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from metabuilder.builds import processes
from metabuilder.builds.execution import Command, Keeper, KeeperLost, Limits, ProcessIdentity, end_leftovers

ROOT = Path(__file__).resolve().parents[2]
unique = itertools.count(int(time.time() * 1000) % 10**7 * 100)


class MemoryLog:
    """The smallest log that `execute` accepts."""

    truncated = False

    def __init__(self):
        self.data = b""

    def append(self, data):
        self.data += data
        return data

    def flush_if_due(self):
        pass

    @property
    def size(self):
        return len(self.data)


@pytest.fixture
def token():
    return f"test-{os.getpid()}-{next(unique)}"


@pytest.fixture
def keeper(token):
    with Keeper(token) as keeper:
        yield keeper


@pytest.fixture
def marker():
    """A number of seconds that only this test's processes sleep for; they are ended in any case."""
    number = str(100_000 + next(unique))
    yield number
    for pid in sleepers(number):
        os.kill(pid, signal.SIGKILL)


def command(script, cwd="/", env=None, timeout=30.0, **limits):
    return Command(
        run=script,
        cwd=Path(cwd),
        env={"PATH": os.environ["PATH"], **(env or {})},
        timeout_seconds=timeout,
        limits=Limits(**limits),
    )


def run(keeper, script, *, log=None, timeout=30.0, cwd="/", env=None, limits=None, **options):
    log = log or MemoryLog()
    return keeper.execute(command(script, cwd, env, timeout, **(limits or {})), log, **options), log


def sleepers(marker):
    """The pids of everything alive whose arguments contain the marker."""
    found = []
    for process in processes.all_processes():
        try:
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if process.alive and process.pid != os.getpid() and marker.encode() in arguments:
            found.append(process.pid)
    return found


def eventually(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value


def test_execute__output_on_both_streams__one_log_and_the_exit_code(keeper):
    result, log = run(keeper, "echo out; echo err >&2; exit 3")

    assert (result.end, result.exit_code, result.stop_reason) == ("exited", 3, None)
    assert log.data == b"out\nerr\n"
    assert result.log_bytes == 8


def test_execute__many_commands_in_turn__each_has_its_own_result(keeper):
    results = [run(keeper, f"echo {n}; exit {n}") for n in range(10)]

    assert [(result.exit_code, log.data) for result, log in results] == [(n, b"%d\n" % n) for n in range(10)]


@pytest.mark.parametrize(("script", "code"), [("kill -9 $$", 137), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)])
def test_execute__ended_by_a_signal__is_128_and_the_number(keeper, script, code):
    result, _ = run(keeper, script)

    assert (result.end, result.exit_code) == ("exited", code)


def test_execute__reads_standard_input__finds_it_empty(keeper):
    result, log = run(keeper, "cat; echo done")

    assert (result.exit_code, log.data) == (0, b"done\n")


def test_execute__working_directory_and_environment__are_the_given_ones(keeper, tmp_path, monkeypatch, token):
    monkeypatch.setenv("SERVICE_SECRET", "do-not-leak")

    _, log = run(keeper, "pwd; env; tr '\\0' '\\n' < /proc/$PPID/environ", cwd=tmp_path, env={"GREETING": "hi é"})

    lines = log.data.decode().splitlines()
    assert lines[0] == str(tmp_path)
    assert "GREETING=hi é" in lines
    assert "do-not-leak" not in log.data.decode()
    assert f"METABUILDER_RUN_TOKEN={token}" in lines


def test_execute__engine_has_open_files__the_command_inherits_none(keeper, tmp_path):
    with open(tmp_path / "secret", "w") as secret:
        os.set_inheritable(secret.fileno(), True)
        with Keeper("fds") as fresh:
            _, log = run(fresh, "ls -l /proc/self/fd /proc/$PPID/fd")
    _, later = run(keeper, "ls /proc/self/fd | sort")

    assert b"secret" not in log.data
    assert later.data.split() == [b"0", b"1", b"2", b"3"]  # 3 is ls itself


def test_execute__default_signals__are_restored(keeper):
    result, log = run(keeper, "yes | head -n 1; echo ${PIPESTATUS[0]}; grep SigIgn /proc/self/status")

    assert log.data.splitlines()[:2] == [b"y", b"141"]
    assert int(log.data.split()[-1], 16) == 0
    assert result.exit_code == 0


def test_execute__service_started_in_the_background__its_ignored_signals_are_not_the_steps(token):
    ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGQUIT, signal.SIGUSR1)}
    try:
        with Keeper(token) as keeper:
            _, log = run(keeper, "grep SigIgn /proc/self/status")
    finally:
        for number, handler in ignored.items():
            signal.signal(number, handler)

    assert int(log.data.split()[-1], 16) == 0


def test_execute__directory_is_missing__says_so_in_the_log(keeper):
    result, log = run(keeper, "true", cwd="/no/such/directory")

    assert (result.end, result.exit_code) == ("exited", 127)
    assert b"/no/such/directory" in log.data


def test_execute__large_script_and_environment__arrive_whole(keeper):
    env = {f"VARIABLE_{n}": "x" * 50_000 for n in range(20)}

    result, log = run(keeper, f": {'y' * 100_000}; env | grep -c VARIABLE_", env=env)

    assert (result.exit_code, log.data) == (0, b"20\n")


def test_execute__not_utf8__the_log_has_the_bytes_and_progress_has_text(keeper):
    shown = []

    _, log = run(keeper, r"printf 'a\xff\xfeb\n'", on_output=shown.append)

    assert log.data == b"a\xff\xfeb\n"
    assert "".join(shown) == "a\ufffd\ufffdb\n"


def test_execute__200_megabytes__all_of_it_is_read(keeper):
    class CountingLog(MemoryLog):
        total = 0

        def append(self, data):
            self.total += len(data)
            return b""

    result, log = run(keeper, "head -c 200000000 /dev/zero", log=CountingLog())

    assert result.exit_code == 0
    assert log.total == 200_000_000


def test_execute__on_start__is_told_the_process_before_anything_runs(keeper, tmp_path):
    seen = []

    def on_start(identity):
        time.sleep(0.2)
        seen.append((identity, (tmp_path / "ran").exists()))

    run(keeper, "touch ran; echo $PPID", cwd=tmp_path, on_start=on_start)

    [(identity, ran)] = seen
    assert not ran
    assert (tmp_path / "ran").exists()
    assert ProcessIdentity.from_json(identity.to_json()) == identity


def test_execute__on_start_raises__the_command_never_runs_and_the_keeper_still_works(keeper, tmp_path):
    def refuse(identity):
        raise PermissionError("the lease is lost")

    with pytest.raises(PermissionError):
        run(keeper, "touch ran", cwd=tmp_path, on_start=refuse)
    result, _ = run(keeper, "sleep 0.1")

    assert result.exit_code == 0
    assert not (tmp_path / "ran").exists()


def test_execute__log_fails__raises_and_ends_the_command(keeper, marker):
    class FullDisk(MemoryLog):
        def append(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run(keeper, f"echo x; sleep {marker}", log=FullDisk())

    assert eventually(lambda: not sleepers(marker))


def test_execute__background_child_holds_the_pipe__does_not_wait_for_it(keeper, marker):
    result, log = run(keeper, f"sleep {marker} & echo done")

    assert (result.exit_code, log.data) == (0, b"done\n")
    assert result.seconds < 10
    assert eventually(lambda: sleepers(marker))  # it may still be on its way from fork to exec


def test_execute__background_child_writes_for_ever__does_not_wait_and_does_not_break_it(keeper, marker):
    result, _ = run(keeper, f"(while sleep 0.01; do echo noise; done; sleep {marker}) & (yes {marker}) & exit 0")
    time.sleep(0.3)

    assert result.exit_code == 0
    assert sleepers(marker), "a closed pipe must not kill what was left running"
    keeper.end_all()
    assert not sleepers(marker)


def test_execute__output_closed_early__runs_to_its_end(keeper):
    result, log = run(keeper, "echo x; exec >&- 2>&-; sleep 0.3; exit 4")

    assert (result.exit_code, log.data) == (4, b"x\n")
    assert result.seconds >= 0.3


def test_execute__timeout__ends_the_whole_tree_detached_grandchildren_too(keeper, marker):
    script = f"""
        setsid sleep {marker} &
        (setsid nohup bash -c 'trap "" TERM; sleep {marker}; sleep {marker}' &) &
        sleep {marker}
    """

    result, _ = run(keeper, script, timeout=0.5)

    assert result.end == "timed_out"
    assert result.exit_code == 143
    assert 2 < result.seconds < 20, "one process ignores SIGTERM, so the whole grace was given"
    assert not sleepers(marker)


def test_execute__timeout__leaves_time_to_clean_up(keeper):
    result, log = run(keeper, "trap 'echo cleaned; exit 7' TERM; while true; do sleep 0.05; done", timeout=0.4)

    assert (result.end, result.exit_code) == ("timed_out", 7)
    assert log.data.endswith(b"cleaned\n")
    assert result.seconds < 2


def test_execute__should_stop__ends_it_with_the_reason(keeper, marker):
    asked = itertools.count()

    result, log = run(
        keeper,
        f"echo x; sleep {marker}",
        should_stop=lambda: "cancelled" if next(asked) >= 2 else None,
    )

    assert (result.end, result.stop_reason, log.data) == ("killed", "cancelled", b"x\n")
    assert not sleepers(marker)


def test_execute__failing_command__takes_its_background_processes_along(keeper, marker):
    result, _ = run(keeper, f"setsid nohup sleep {marker} & exit 1")

    assert result.exit_code == 1
    assert not sleepers(marker)


def test_execute__failing_command__spares_what_an_earlier_one_left_running(keeper, marker):
    run(keeper, f"setsid nohup sleep {marker} >/dev/null 2>&1 &")

    result, _ = run(keeper, "sleep 60 & exit 1")

    assert result.exit_code == 1
    assert len(sleepers(marker)) == 1


def test_execute__keep_background_off__ends_them_at_exit_0(keeper, marker):
    run(keeper, f"setsid nohup sleep {marker} &", keep_background=False)

    assert not sleepers(marker)


def test_end_all__daemon_after_exit_0__lived_until_then(keeper, marker):
    daemon = (
        "import os, sys\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        f"os.execvpe('sleep', ['sleep', '{marker}'], {{}})"  # no environment: only its ancestry gives it away
    )
    result, _ = run(keeper, f'{sys.executable} -c "{daemon}"')
    assert result.exit_code == 0
    assert eventually(lambda: len(sleepers(marker)) == 1)

    keeper.end_all()

    assert not sleepers(marker)
    assert run(keeper, "echo again")[1].data == b"again\n"


def test_close__twice__is_fine_and_leaves_nothing(token, marker):
    keeper = Keeper(token)
    run(keeper, f"setsid sleep {marker} >/dev/null &")

    keeper.close()
    keeper.close()

    assert not sleepers(marker)
    assert not keeper.identity.is_alive()


def test_has_background__daemon_of_a_green_command__until_it_is_ended(keeper, marker):
    run(keeper, "true")
    assert not keeper.has_background()

    run(keeper, f"setsid sleep {marker} >/dev/null 2>&1 &")
    assert keeper.has_background()

    keeper.end_all()
    assert not keeper.has_background()


def test_pause__background_writers__stand_still_until_resumed_and_commands_run(keeper, tmp_path, marker):
    loop = f"while :; do echo x >> ticks; sleep 0.005; done #{marker}"
    run(keeper, f"setsid bash -c '{loop}' >/dev/null 2>&1 & (bash -c '{loop}' &) ", cwd=tmp_path)
    ticks = tmp_path / "ticks"
    assert eventually(lambda: ticks.exists() and ticks.stat().st_size > 20)

    keeper.pause()
    before = ticks.stat().st_size
    result, log = run(keeper, "sleep 0.2; echo done")
    keeper.pause()  # twice is once
    time.sleep(0.1)
    assert (ticks.stat().st_size, result.exit_code, log.data) == (before, 0, b"done\n")

    keeper.resume()
    assert eventually(lambda: ticks.stat().st_size > before + 20)
    assert run(keeper, "exit 3")[0].exit_code == 3


def test_pause__what_had_stopped_by_itself__stays_stopped(keeper, tmp_path):
    run(keeper, "(sleep 300 & echo $! > pid; kill -STOP $!)", cwd=tmp_path)
    pid = int((tmp_path / "pid").read_text())
    keeper.pause()
    keeper.resume()
    time.sleep(0.05)
    assert processes.read_process(pid).state == "T"


def test_end_all__while_paused__ends_what_is_stopped(keeper, marker):
    run(keeper, f"sleep {marker} >/dev/null 2>&1 &")
    keeper.pause()
    assert keeper.end_all()
    assert sleepers(marker) == []
    assert run(keeper, "true")[0].exit_code == 0


def test_limits__file_size__ends_the_writer(keeper, tmp_path):
    result, _ = run(keeper, "head -c 1000000 /dev/zero > big", cwd=tmp_path, limits={"max_file_bytes": 100_000})

    assert result.exit_code == 153  # SIGXFSZ
    assert (tmp_path / "big").stat().st_size == 100_000


def test_limits__memory__refuses_to_give_more(keeper):
    script = f"{sys.executable} -S -c \"b = bytearray(400 << 20); print('got it')\""

    refused, log = run(keeper, script, limits={"max_memory_bytes": 200 << 20})
    given, _ = run(keeper, script, limits={"max_memory_bytes": 800 << 20})

    assert (refused.exit_code, given.exit_code) == (1, 0)
    assert b"MemoryError" in log.data


def test_limits__cpu_seconds__ends_a_busy_loop(keeper):
    result, _ = run(keeper, "while :; do :; done", limits={"max_cpu_seconds": 1})

    assert result.exit_code == 152  # SIGXCPU


def test_limits__process_storm__is_ended_as_a_whole(keeper, marker):
    # A storm that grows steadily: a doubling one would take the machine along before it is counted.
    script = f"while :; do setsid sleep {marker} & sleep 0.01; done"

    result, _ = run(keeper, script, limits={"max_processes": 60})

    assert (result.end, result.stop_reason) == ("killed", "more than 60 processes")
    assert not sleepers(marker)


def test_execute__process_that_never_ends_forking__is_caught(keeper, marker):
    runner = textwrap.dedent(f"""
        import os, time  # {marker}
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()
            time.sleep(0.0005)
    """)
    script = f"{sys.executable} -I -S -c '{runner}' {marker} & sleep 0.2; exit 1"

    result, _ = run(keeper, script)

    assert result.exit_code == 1
    assert not sleepers(marker)


def test_execute__command_kills_its_warden__is_reported_and_leaves_nothing(keeper, marker):
    result, _ = run(keeper, f"setsid sleep {marker} & kill -9 $PPID; sleep {marker}")

    assert (result.end, result.exit_code) == ("killed", None)
    assert eventually(lambda: not sleepers(marker))
    assert run(keeper, "echo again")[1].data == b"again\n"


def test_execute__keeper_is_killed_meanwhile__raises_and_leaves_nothing(token, marker):
    with Keeper(token) as keeper:
        script = f"setsid sleep {marker} & kill -9 {keeper.identity.pid}; sleep {marker}"

        with pytest.raises(KeeperLost):
            run(keeper, script)

        assert eventually(lambda: not sleepers(marker))
        with pytest.raises(KeeperLost):
            run(keeper, "true")


ENGINE = """
import sys
from pathlib import Path
from tests.builds.test_execution import MemoryLog, command
from metabuilder.builds.execution import Keeper
keeper = Keeper(sys.argv[1])
keeper.execute(command("setsid nohup sleep " + sys.argv[2] + " &"), MemoryLog())
script = "setsid sleep %s & sleep %s" % (sys.argv[2], sys.argv[2])
known = keeper.identity
def tell(_): print(known.pid, known.start_ticks, flush=True)
keeper.execute(command(script), MemoryLog(), on_start=tell)
"""


@pytest.fixture
def engine(token, marker):
    """Another engine in the middle of a step, with a daemon of an earlier step."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, token, marker], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    pid, ticks = process.stdout.readline().split()
    assert eventually(lambda: len([pid for pid in sleepers(marker) if pid != process.pid]) >= 3)
    yield process, ProcessIdentity.of(int(pid), int(ticks))
    process.kill()
    process.wait()
    process.stdout.close()


def test_keeper__engine_is_killed__everything_dies_with_it(engine, marker):
    process, identity = engine

    process.kill()
    process.wait()

    assert eventually(lambda: not sleepers(marker))
    assert eventually(lambda: not identity.is_alive())


def test_end_leftovers__takeover_while_the_old_tree_lives__ends_it(engine, marker, token):
    process, identity = engine
    os.kill(process.pid, signal.SIGSTOP)  # it hangs: nothing ends by itself

    assert end_leftovers(identity.to_json(), token)  # how many it counts varies: a group's kill may come first

    assert [pid for pid in sleepers(marker) if pid != process.pid] == []
    assert not identity.is_alive()


def test_end_leftovers__keeper_and_wardens_killed_at_once__finds_the_rest_by_the_token(engine, marker, token):
    process, identity = engine
    ours = [identity.pid, *(p.pid for p in processes.descendants(identity.pid) if p.parent == identity.pid)]
    for pid in [process.pid, *ours]:  # stopped first, so that none can react to the end of another
        os.kill(pid, signal.SIGSTOP)
    for pid in ours:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not identity.is_alive())
    assert [pid for pid in sleepers(marker) if pid != process.pid]

    end_leftovers(identity.to_json(), token)

    assert [pid for pid in sleepers(marker) if pid != process.pid] == []


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another"}, {"pid_namespace": "pid:[1]"}])
def test_end_leftovers__the_pid_is_somebody_elses__nothing_is_killed(change, marker, token):
    with subprocess.Popen(["sleep", marker]) as innocent:
        identity = {**ProcessIdentity.of(innocent.pid).to_json(), **change}

        assert end_leftovers(identity, token) == 0

        assert innocent.poll() is None
        innocent.kill()


def test_end_leftovers__nothing_known_and_nothing_left__is_zero(token):
    assert end_leftovers(None, token) == 0


def test_end_leftovers__token_of_another_run__is_left_alone(keeper, marker, token):
    run(keeper, f"setsid sleep {marker} >/dev/null &")

    end_leftovers(None, token + "0")
    end_leftovers(None, token[:-1])

    assert sleepers(marker)
