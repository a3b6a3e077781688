"""`manage.py worker`: the queue's worker processes, and the thread that finds what was lost."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from approvals.tasks import expire_gates
from metabuilder.builds import queue
from metabuilder.builds.embedded import ensure_database

logger = logging.getLogger("metabuilder.worker")


class Command(BaseCommand):
    help = (
        "Run queued builds. Starts METABUILDER_WORKERS processes; a thread re-queues runs whose worker died or whose "
        "wake-up was lost, and expires gates. Ends on SIGTERM or Ctrl-C; unfinished runs are taken up by the next "
        "worker."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reconcile-once", action="store_true", help="only re-queue what was lost, for cron")

    def handle(self, *, reconcile_once: bool, **options: Any) -> None:
        ensure_database()
        if reconcile_once:
            self.stdout.write(f"{reconcile()} run(s) queued again")
            return
        stop = threading.Event()
        connection.close()  # the worker processes are forked: they must not share it
        with queue.cluster():
            # The cluster installs its own handlers; ours end the loop below, which then ends the cluster.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            threads = [
                threading.Thread(target=_every, args=(stop, seconds, work), daemon=True)
                for seconds, work in (
                    (settings.METABUILDER_RECONCILE_SECONDS, reconcile),
                    (queue.HEARTBEAT_SECONDS, queue.beat),
                )
            ]
            for thread in threads:
                thread.start()
            self.stderr.write(f"worker: {settings.METABUILDER_WORKERS} processes are waiting for runs")
            while not stop.wait(0.2):
                pass
            for thread in threads:
                thread.join()
        queue.end_beat()


def reconcile() -> int:
    """Queue lost runs again and expire gates; return how many runs were queued."""
    found = queue.requeue_lost()
    for run_id in found:
        logger.warning("run was lost and is queued again", extra={"run_id": str(run_id)})
    expire_gates()
    return len(found)


def _every(stop: threading.Event, seconds: float, work: Any) -> None:
    while not stop.is_set():
        try:
            work()
        except Exception:  # the boundary: without this thread lost runs stay lost
            logger.exception("failed; trying again in %s s", seconds)
            connection.close()
        stop.wait(seconds)
    connection.close()
