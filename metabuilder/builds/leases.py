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
from django.db import DatabaseError, connection, models
from django.db.models import F, Q
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

    def release(self) -> None:
        """Give the run up. Does nothing where it was lost already."""
        self._ours().update(lease_expires_at=None, lease_owner="")

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Renew from a thread for as long as the block runs, then release."""
        stop = threading.Event()
        thread = threading.Thread(target=self._beat, args=(stop,), name=f"lease-{self.run_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.release()

    def _beat(self, stop: threading.Event) -> None:
        ttl = settings.METABUILDER_LEASE_SECONDS
        renewed = timezone.now()
        try:
            while not stop.wait(BEAT_SECONDS):
                now = timezone.now()
                try:
                    if self._ours().filter(cancel_requested_at__isnull=False).exists():
                        self.cancelled.set()
                    if now - renewed > timedelta(seconds=ttl / 4):
                        if not self.renew():
                            return
                        renewed = now
                except DatabaseError:
                    connection.close()  # a fresh connection at the next beat
                    if timezone.now() - renewed > timedelta(seconds=ttl):
                        self.lost.set()  # we can no longer know that it is ours
                        return
        finally:
            connection.close()


def _expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.METABUILDER_LEASE_SECONDS)


def take_lease(run_id: UUID | str) -> Lease:
    """Take the run, raising LeaseBusy while somebody else's lease has not expired. One UPDATE: of two, one wins."""
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=timezone.now())
    taken = BuildRun.objects.filter(free, pk=run_id).update(
        fence=F("fence") + 1, lease_owner=process_name(), lease_expires_at=_expiry()
    )
    fence = BuildRun.objects.filter(pk=run_id).values_list("fence", flat=True).first()
    if fence is None:
        raise RunNotFound(run_id)
    if not taken:
        raise LeaseBusy(run_id)
    return Lease(run_id=UUID(str(run_id)), fence=fence)
