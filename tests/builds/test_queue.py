from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from metabuilder.builds import queue
from metabuilder.builds.leases import process_name, take_lease
from metabuilder.builds.models import BuildRun, WorkerHeartbeat
from metabuilder.builds.states import ENDED_RUNS, RunStatus
from tests.factories import BuildRunFactory

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=1)


def lost_run(**facts):
    """A run whose wake-up was due long ago, without a message."""
    return BuildRunFactory(**{"wake_at": timezone.now() - LONG_AGO, **facts})


def take_message(run):
    """What the queue's pusher does when it hands a message to a worker: its lock goes far ahead."""
    OrmQ.objects.filter(pk=run.wake_message).update(lock=timezone.now() + timedelta(hours=25))


def test_enqueue_advance__now__is_what_the_library_itself_would_queue():
    run = BuildRunFactory()
    before = timezone.now()
    queue.enqueue_advance(run.pk)
    async_task(settings.METABUILDER_ADVANCE_TASK, str(run.pk))
    ours, theirs = OrmQ.objects.order_by("pk")
    mine, its = (SignedPackage.loads(message.payload) for message in (ours, theirs))
    assert ours.key == theirs.key
    assert {**its, **mine} == {**mine, **its, "id": mine["id"], "name": mine["name"], "started": mine["started"]}
    assert set(its) == set(mine)
    assert (len(mine["id"]), mine["func"], mine["args"]) == (32, settings.METABUILDER_ADVANCE_TASK, (str(run.pk),))
    assert before <= ours.lock <= timezone.now()
    run.refresh_from_db()
    assert (run.wake_at, run.wake_message) == (ours.lock, ours.pk)


def test_enqueue_advance__later__is_not_visible_before():
    due = timezone.now() + timedelta(seconds=30)
    run = BuildRunFactory()
    queue.enqueue_advance(run.pk, due)
    assert OrmQ.objects.get().lock == due
    assert queue.queue_depth() == 0
    run.refresh_from_db()
    assert run.wake_at == due


def test_enqueue_advance__transaction_fails__queues_nothing():
    run = BuildRunFactory()
    with transaction.atomic():
        queue.enqueue_advance(run.pk)
        transaction.set_rollback(True)
    assert not OrmQ.objects.exists()
    assert BuildRun.objects.get().wake_message is None


def test_queue_depth__two_due_one_later__is_two():
    for due in (None, None, timezone.now() + timedelta(hours=1)):
        queue.enqueue_advance(BuildRunFactory().pk, due)
    assert queue.queue_depth() == 2


def test_requeue_lost__wake_up_gone__is_queued_again_once():
    run = lost_run()
    assert queue.requeue_lost() == [run.pk]
    assert queue.requeue_lost() == []
    assert OrmQ.objects.count() == 1


def test_requeue_lost__message_still_waits__is_left_alone():
    run = BuildRunFactory()
    queue.enqueue_advance(run.pk, timezone.now() - LONG_AGO)
    assert queue.requeue_lost() == []


def test_requeue_lost__message_taken_but_nobody_holds_the_run__is_queued_again():
    run = BuildRunFactory()
    queue.enqueue_advance(run.pk, timezone.now() - LONG_AGO)
    run.refresh_from_db()
    take_message(run)
    assert queue.requeue_lost() == [run.pk]


def test_requeue_lost__woken_just_now__waits_for_the_worker():
    run = BuildRunFactory()
    queue.enqueue_advance(run.pk)
    OrmQ.objects.all().delete()
    assert queue.requeue_lost() == []


def test_requeue_lost__lease_expired__is_queued_again():
    run = lost_run(status=RunStatus.RUNNING)
    take_lease(run.pk)
    assert queue.requeue_lost() == []  # held
    BuildRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert queue.requeue_lost() == [run.pk]


@pytest.mark.parametrize("status", [RunStatus.WAITING_RETRY, RunStatus.WAITING_APPROVAL])
def test_requeue_lost__waits_for_its_time__is_not_queued_twice(status):
    run = BuildRunFactory(status=status)
    queue.enqueue_advance(run.pk, timezone.now() + timedelta(minutes=5))
    assert queue.requeue_lost() == []
    BuildRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))  # its holder died after it parked
    assert queue.requeue_lost() == []


def test_requeue_lost__backoff_over_and_its_message_gone__is_queued_again():
    run = lost_run(status=RunStatus.WAITING_RETRY)
    assert queue.requeue_lost() == [run.pk]


def test_requeue_lost__gate_undecided__is_left_to_people():
    BuildRunFactory(status=RunStatus.WAITING_APPROVAL, wake_at=None)
    BuildRunFactory(
        status=RunStatus.WAITING_APPROVAL, wake_at=None, lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    assert queue.requeue_lost() == []


def test_requeue_lost__gate_decided_and_the_message_gone__is_queued_again():
    run = lost_run(status=RunStatus.WAITING_APPROVAL)
    assert queue.requeue_lost() == [run.pk]


@pytest.mark.parametrize("status", [RunStatus.WAITING_RETRY, RunStatus.WAITING_APPROVAL, RunStatus.RUNNING])
def test_requeue_lost__cancellation_asked_for_and_nobody_acts__is_queued(status):
    due = timezone.now() + timedelta(hours=1) if status == RunStatus.WAITING_RETRY else None
    run = BuildRunFactory(status=status, wake_at=due, cancel_requested_at=timezone.now() - LONG_AGO)
    assert queue.requeue_lost() == [run.pk]
    assert queue.requeue_lost() == []


@pytest.mark.parametrize("facts", [{"hold": True}, {"foreground": True}])
def test_requeue_lost__held_or_in_the_foreground__is_not_for_workers(facts):
    lost_run(**facts)
    lost_run(**facts, status=RunStatus.RUNNING, lease_expires_at=timezone.now() - LONG_AGO)
    assert queue.requeue_lost() == []


@pytest.mark.parametrize("status", sorted(ENDED_RUNS))
def test_requeue_lost__ended__is_over(status):
    lost_run(status=status, lease_expires_at=timezone.now() - LONG_AGO)
    assert queue.requeue_lost() == []


def test_beat__twice__is_one_line_that_says_alive():
    assert not queue.worker_alive()
    queue.beat()
    queue.beat()
    assert queue.worker_alive()
    assert WorkerHeartbeat.objects.get().name == process_name()
    queue.end_beat()
    assert not queue.worker_alive()


def test_beat__stale_lines__are_not_alive_and_swept_after_a_day():
    seen = timezone.now() - timedelta(seconds=queue.ALIVE_SECONDS + 1)
    WorkerHeartbeat.objects.create(name="gone:1", started_at=seen, seen_at=seen)
    assert not queue.worker_alive()
    WorkerHeartbeat.objects.update(seen_at=timezone.now() - timedelta(days=2))
    queue.beat()
    assert WorkerHeartbeat.objects.get().name == process_name()
