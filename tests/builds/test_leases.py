from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import InterfaceError, connection, connections, transaction
from django.utils import timezone

from metabuilder.builds import leases
from metabuilder.builds.errors import LeaseBusy, LeaseLost, RunNotFound, TransitionRefused
from metabuilder.builds.leases import Lease, process_name, take_lease
from metabuilder.builds.models import BuildRun
from metabuilder.builds.states import RunStatus
from metabuilder.builds.transitions import move_run
from tests.factories import BuildRunFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(db):
    return BuildRunFactory()


@pytest.fixture
def quick(monkeypatch, settings):
    """Leases that beat every few milliseconds."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.02)
    settings.METABUILDER_LEASE_SECONDS = 0.2


def expire(run):
    BuildRun.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_take_lease__free__raises_the_fence_and_names_the_holder(run):
    lease = take_lease(run.pk)
    run.refresh_from_db()
    assert (lease.fence, run.fence, run.lease_owner) == (1, 1, process_name())
    assert run.lease_expires_at > timezone.now()


def test_take_lease__held__is_busy_and_nothing_changes(run):
    take_lease(run.pk)
    before = BuildRun.objects.values().get()
    with pytest.raises(LeaseBusy):
        take_lease(str(run.pk))
    assert BuildRun.objects.values().get() == before


def test_take_lease__no_such_run__says_so(db):
    with pytest.raises(RunNotFound):
        take_lease("00000000-0000-4000-8000-000000000000")


def test_take_lease__expired__is_taken_over_and_the_dead_holder_counted(run):
    old = take_lease(run.pk)
    expire(run)
    new = take_lease(run.pk)
    assert new.fence == old.fence + 1
    run.refresh_from_db()
    assert run.lost_holders == 1
    new.release()
    run.refresh_from_db()
    assert run.lost_holders == 0


def test_take_lease__many_at_once__one_wins(run):
    results, barrier = [], threading.Barrier(4)

    def take():
        barrier.wait()
        try:
            results.append(take_lease(run.pk).fence)
        except LeaseBusy:
            results.append(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=bool) == [None, None, None, 1]


def test_hold__taken_over__raises_and_sets_lost(run):
    old = take_lease(run.pk)
    expire(run)
    take_lease(run.pk)
    with pytest.raises(LeaseLost), transaction.atomic():
        old.hold()
    assert old.lost.is_set()


def test_hold__outside_a_transaction__is_a_mistake(run):
    with pytest.raises(RuntimeError, match="transaction"):
        take_lease(run.pk).hold()


def test_release__taken_over__leaves_the_new_holder_alone(run):
    old = take_lease(run.pk)
    expire(run)
    take_lease(run.pk)
    old.release()
    run.refresh_from_db()
    assert run.lease_expires_at is not None


def test_heartbeat__runs_longer_than_the_lease__stays_ours_and_is_released(run, quick):
    lease = take_lease(run.pk)
    with lease.heartbeat():
        time.sleep(0.4)
        with pytest.raises(LeaseBusy):
            take_lease(run.pk)
    run.refresh_from_db()
    assert (run.lease_expires_at, run.lease_owner, lease.lost.is_set()) == (None, "", False)


def test_heartbeat__block_raises__counts_as_a_lost_holder(run, quick):
    with pytest.raises(ZeroDivisionError), take_lease(run.pk).heartbeat():
        1 / 0  # noqa: B018 - raises
    run.refresh_from_db()
    assert (run.lease_expires_at, run.lost_holders) == (None, 1)


def test_heartbeat__cancel_is_asked_for__is_seen(run, quick):
    lease = take_lease(run.pk)
    with lease.heartbeat():
        BuildRun.objects.update(cancel_requested_at=timezone.now())
        assert lease.cancelled.wait(2)


def test_heartbeat__taken_over__is_seen_before_the_next_renewal(run, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.02)
    lease = take_lease(run.pk)
    with lease.heartbeat():
        BuildRun.objects.update(fence=lease.fence + 1)
        assert lease.lost.wait(2)


@pytest.mark.parametrize("error", [InterfaceError("connection already closed"), ZeroDivisionError()])
def test_heartbeat__cannot_renew_any_more__is_lost_rather_than_believed(run, quick, monkeypatch, error):
    lease = take_lease(run.pk)
    ours = Lease._ours

    def breaks(self):
        if threading.current_thread() is not threading.main_thread():
            raise error
        return ours(self)

    monkeypatch.setattr(Lease, "_ours", breaks)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    with lease.heartbeat():
        assert lease.lost.wait(2)


def test_heartbeat__ends__leaves_no_thread_behind(run, quick):
    before = threading.active_count()
    with take_lease(run.pk).heartbeat():
        pass
    assert threading.active_count() == before


# Two connections


@pytest.fixture
def second():
    """Another connection to the test database, in a thread of its own."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's writing transactions are one after the other; nothing to interleave")

    def call(work):
        result = []

        def body():
            try:
                result.append(work())
            except Exception as error:  # noqa: BLE001 - handed to the test
                result.append(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=body)
        thread.start()
        return thread, result

    return call


def test_two_connections__transaction_opened_before_the_takeover__cannot_write_after_it(run, second):
    run.status = RunStatus.RUNNING
    run.save()
    old = take_lease(run.pk)
    with transaction.atomic():
        assert BuildRun.objects.get(pk=run.pk).fence == old.fence  # the transaction has begun
        expire_and_take, taken = second(lambda: (expire(run), take_lease(run.pk))[1])
        expire_and_take.join()
        assert taken[0].fence == old.fence + 1
        with pytest.raises(LeaseLost):
            move_run(run, RunStatus.SUCCEEDED, lease=old)
    assert BuildRun.objects.get(pk=run.pk).status == "running"


def test_two_connections__holder_writes_first__the_takeover_waits_for_its_commit(run, second):
    run.status = RunStatus.RUNNING
    run.save()
    old = take_lease(run.pk)
    expire(run)
    with transaction.atomic():
        old.hold()
        thread, taken = second(lambda: take_lease(run.pk))
        thread.join(0.3)
        assert thread.is_alive()  # it waits for us
        move_run(run, RunStatus.SUCCEEDED, lease=old)
    thread.join()
    assert taken[0].fence == old.fence + 1
    assert BuildRun.objects.get(pk=run.pk).status == "succeeded"


def test_two_connections__cancelled_without_a_lease__shuts_out_who_is_just_taking_it(run, second):
    lease = take_lease(run.pk)
    stale = BuildRun.objects.get(pk=run.pk)
    thread, _ = second(lambda: move_run(BuildRun.objects.get(pk=run.pk), RunStatus.CANCELLED, lease=None))
    thread.join()
    with pytest.raises((LeaseLost, TransitionRefused)), transaction.atomic():
        move_run(stale, RunStatus.RUNNING, lease=lease)
    assert BuildRun.objects.get(pk=run.pk).status == "cancelled"
