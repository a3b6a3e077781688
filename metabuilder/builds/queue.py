"""Wake-ups. The only module that knows django_q.

The database is the truth and a message only says "look at this run": it may be delivered twice, late or never. A
message's `lock` column means "not before", so a row with a future lock is a durable timer (the library has no public
call for it; a test holds this row against the installed version).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_q.conf import Conf
from django_q.humanhash import uuid as task_id
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from metabuilder.builds import processes
from metabuilder.builds.leases import process_name
from metabuilder.builds.models import BuildRun, WorkerHeartbeat
from metabuilder.builds.states import RunStatus

STOP_SECONDS = 5.0
HEARTBEAT_SECONDS = 2.0
ALIVE_SECONDS = 10.0
# A run whose wake-up was due this long ago, and which nobody holds or has queued, has lost it.
LOST_AFTER = timedelta(seconds=4)


@transaction.atomic
def enqueue_advance(run_id: UUID | str, due_at: datetime | None = None) -> None:
    """Wake the orchestrator for a run, now or at `due_at`: a row in the caller's transaction."""
    due = due_at or timezone.now()
    name, identifier = task_id()
    task = {
        "id": identifier,
        "name": name,
        "func": settings.METABUILDER_ADVANCE_TASK,
        "args": (str(run_id),),
        "kwargs": {},
        "ack_failure": True,
        "started": timezone.now(),
    }
    message = OrmQ.objects.create(key=Conf.CLUSTER_NAME, payload=SignedPackage.dumps(task), lock=due)
    BuildRun.objects.filter(pk=run_id).update(wake_at=due, wake_message=message.pk)


def requeue_lost() -> list[UUID]:
    """Queue again every run that should move and that nobody holds: expired leases and lost wake-ups.

    Not one whose command in the foreground has died: whoever typed it resumes it or cancels it. Once it is to be
    cancelled, it is anybody's to end.
    """
    now = timezone.now()
    # A message that a worker has taken has its lock far ahead (the queue's own redelivery), so it counts as gone.
    queued = OrmQ.objects.filter(pk=OuterRef("wake_message"), lock__lte=now)
    unheld = Q(lease_expires_at__isnull=True, wake_at__lt=now - LOST_AFTER) | Q(lease_expires_at__lt=now)
    # Somebody asked to cancel just when the holder let the run wait, and the message found it still held.
    cancelled = Q(lease_expires_at__isnull=True, cancel_requested_at__lt=now - LOST_AFTER)
    waits = Q(status__in=[RunStatus.WAITING_RETRY, RunStatus.WAITING_APPROVAL], wake_at__gt=now) | Q(
        status=RunStatus.WAITING_APPROVAL, wake_at__isnull=True
    )
    anybodys = Q(foreground=False) | Q(cancel_requested_at__isnull=False)
    lost = (
        BuildRun.objects.active()
        .filter(cancelled | unheld & ~waits, ~Exists(queued), anybodys, hold=False)
        .values_list("pk", flat=True)
    )
    found = list(lost[:500])
    for run_id in found:
        enqueue_advance(run_id)
    return found


def queue_depth() -> int:
    """Return how many wake-ups are due and not yet taken."""
    return int(OrmQ.objects.filter(key=Conf.CLUSTER_NAME, lock__lte=timezone.now()).count())


def beat() -> None:
    """Say that this worker lives."""
    now = timezone.now()
    WorkerHeartbeat.objects.update_or_create(
        name=process_name(), defaults={"seen_at": now}, create_defaults={"seen_at": now, "started_at": now}
    )
    WorkerHeartbeat.objects.filter(seen_at__lt=now - timedelta(days=1)).delete()


def end_beat() -> None:
    WorkerHeartbeat.objects.filter(name=process_name()).delete()


def worker_alive() -> bool:
    since = timezone.now() - timedelta(seconds=ALIVE_SECONDS)
    return WorkerHeartbeat.objects.filter(seen_at__gte=since).exists()


@contextmanager
def cluster() -> Iterator[None]:
    """Run the queue's worker processes for as long as the block runs; they end with it.

    The library waits for its workers' tasks, and for ever for a worker that was killed while it was idle. A step may
    run for hours, so the processes are killed then: its run is taken over, as after a crash.
    """
    from django_q.cluster import Cluster  # starts multiprocessing machinery at import

    running = Cluster()
    running.start()
    try:
        yield
    finally:
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        stopping.join(STOP_SECONDS)
        if stopping.is_alive():
            _kill_with_children(running.sentinel.pid)
            stopping.join()


def _kill_with_children(pid: int) -> None:
    """Kill a process and its children, itself first, so that it replaces none of them."""
    victims = [p for p in processes.all_processes() if pid in {p.pid, p.parent}]
    for victim in sorted(victims, key=lambda p: p.pid != pid):
        processes.send_signal(victim, signal.SIGKILL)
