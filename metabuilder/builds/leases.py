"""The right to work on a run. A lease has a fence number that rises with every taking; only its holder may write."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection, models
from django.db.models import Case, F, Q, When
from django.utils import timezone

from metabuilder.builds.errors import LeaseBusy, LeaseLost, RunNotFound
from metabuilder.builds.models import BuildRun

BEAT_SECONDS = 1.0  # how soon a lost lease or a cancellation reaches a running step


def process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(slots=True, kw_only=True)
class Lease:
    """Held by one process. `lost` and `cancelled` are set by the heartbeat thread."""

    run_id: UUID
    fence: int
    lost: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def _ours(self) -> models.QuerySet[BuildRun]:
        return BuildRun.objects.filter(pk=self.run_id, fence=self.fence)

    def hold(self) -> None:
        """Lock the run's row for the rest of this transaction, or raise LeaseLost with nothing written.

        The lock makes a takeover wait for us, so a transaction that began before it cannot commit after it. SQLite
        needs none: its transactions are IMMEDIATE, so they are one after the other.
        """
        if not connection.in_atomic_block:
            raise RuntimeError("Lease.hold() protects a transaction; call it inside one")
        if not self._ours().select_for_update(no_key=True).values_list("pk").first():
            self.lost.set()
            raise LeaseLost(self.run_id, self.fence)

    def renew(self) -> bool:
        """Push the expiry forward; False (and `lost` set) where somebody else has taken the run."""
        if self._ours().update(lease_expires_at=_expiry()):
            return True
        self.lost.set()
        return False

    def release(self, *, failed: bool = False) -> None:
        """Give the run up. Does nothing where it was lost already. `failed`: as if this holder had died."""
        lost_holders = F("lost_holders") + 1 if failed else 0
        self._ours().update(lease_expires_at=None, lease_owner="", lost_holders=lost_holders)

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Renew from a thread for as long as the block runs, then release."""
        stop = threading.Event()
        thread = threading.Thread(target=self._beat, args=(stop,), name=f"lease-{self.run_id}", daemon=True)
        thread.start()
        failed = True
        try:
            yield
            failed = False
        finally:
            stop.set()
            thread.join()
            self.release(failed=failed)

    def _beat(self, stop: threading.Event) -> None:
        ttl = settings.METABUILDER_LEASE_SECONDS
        renewed = timezone.now()
        try:
            while not stop.wait(BEAT_SECONDS):
                now = timezone.now()
                try:
                    wish = self._ours().values_list("cancel_requested_at").first()
                    if wish is None:
                        return
                    if wish[0]:
                        self.cancelled.set()
                    if now - renewed > timedelta(seconds=ttl / 4):
                        if not self.renew():
                            return
                        renewed = now
                except DatabaseTrouble:
                    connection.close()  # a fresh connection at the next beat
                    if timezone.now() - renewed > timedelta(seconds=ttl):
                        return
        finally:
            if not stop.is_set():
                self.lost.set()  # whatever ended this thread: from here on nobody knows that the run is ours
            connection.close()


def _expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.METABUILDER_LEASE_SECONDS)


def unheld() -> Q:
    """The runs that nobody works on: given back, or their holder has died."""
    return Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=timezone.now())


def take_lease(run_id: UUID | str) -> Lease:
    """Take the run, raising LeaseBusy while somebody else's lease has not expired. One UPDATE: of two, one wins."""
    taken = BuildRun.objects.filter(unheld(), pk=run_id).update(
        fence=F("fence") + 1,
        lease_owner=process_name(),
        lease_expires_at=_expiry(),
        # A lease that ran out was not given back: its holder died.
        lost_holders=F("lost_holders") + Case(When(lease_expires_at__isnull=False, then=1), default=0),
    )
    fence = BuildRun.objects.filter(pk=run_id).values_list("fence", flat=True).first()
    if fence is None:
        raise RunNotFound(run_id)
    if not taken:
        raise LeaseBusy(run_id)
    return Lease(run_id=UUID(str(run_id)), fence=fence)
