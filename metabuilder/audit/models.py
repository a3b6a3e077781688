"""What happened, who did it, and the sealed end of each tenant's chain. Only services.record_event writes."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.db import models

from metabuilder.audit.chain import GENESIS, ChainedEvent, Head


class AuditEventType(models.TextChoices):
    AUTOFIX_CLASSIFIED = "autofix.classified"
    AUTOFIX_RETRY = "autofix.retry"
    AUTOFIX_PATCH_APPLIED = "autofix.patch_applied"
    AUTOFIX_REPLANNED = "autofix.replanned"
    AUTOFIX_ESCALATED = "autofix.escalated"
    AUTOFIX_ROLLED_BACK = "autofix.rolled_back"
    APPROVAL_GRANTED = "approval.granted"
    APPROVAL_REJECTED = "approval.rejected"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_VOIDED = "approval.voided"
    SETTINGS_CHANGED = "settings.changed"
    RUN_CREATED = "run.created"
    RUN_RETRIED = "run.retried"
    RUN_CANCELLED = "run.cancelled"
    MEMBER_CHANGED = "member.changed"
    KILL_SWITCH_CHANGED = "kill_switch.changed"


class AuditEventsAreFinal(TypeError):
    """Code tried to change or delete an audit event. Nothing was changed; the database refuses it too."""

    def __init__(self) -> None:
        super().__init__("audit events are append-only: they are neither changed nor deleted")


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise AuditEventsAreFinal

    def delete(self) -> NoReturn:
        raise AuditEventsAreFinal


class AuditEvent(models.Model):
    """One thing that happened. Subjects and tenants are text: the trail outlives what it speaks of."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.CharField(max_length=64, blank=True)  # the tenant's id; empty: the platform
    seq = models.PositiveBigIntegerField()  # 1, 2, 3 … within the tenant, without gaps
    event_type = models.CharField(max_length=50, choices=AuditEventType)
    subject_type = models.CharField(max_length=100, blank=True)
    subject_id = models.CharField(max_length=64, blank=True)
    actor_id = models.CharField(max_length=64, blank=True)  # empty: the system
    actor_name = models.CharField(max_length=150)
    payload = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    objects = AuditEventQuerySet.as_manager()

    class Meta:
        db_table = "audit_events"
        constraints = [models.UniqueConstraint(fields=["tenant", "seq"], name="audit_event_once")]
        indexes = [
            # The history of one run or gate, and the newest events first in the admin.
            models.Index(fields=["subject_type", "subject_id"], name="audit_event_subject_idx"),
            models.Index(fields=["-created_at"], name="audit_event_newest_idx"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AuditEventsAreFinal
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditEventsAreFinal

    def chained(self) -> ChainedEvent:
        return ChainedEvent(
            id=str(self.id),
            tenant=self.tenant,
            seq=self.seq,
            event_type=str(self.event_type),
            subject_type=self.subject_type,
            subject_id=self.subject_id,
            actor_id=self.actor_id,
            actor_name=self.actor_name,
            payload=self.payload,
            created_at=self.created_at,
            prev_hash=self.prev_hash,
            hash=self.hash,
        )


class AuditHead(models.Model):
    """The newest event of one tenant. Appending locks this row, last in its transaction."""

    tenant = models.CharField(max_length=64, unique=True, blank=True)
    label = models.CharField(max_length=200, blank=True)  # the tenant's name when last written; not sealed
    seq = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=GENESIS)
    seal = models.CharField(max_length=64, blank=True)  # empty until the first event

    class Meta:
        db_table = "audit_heads"

    def chained(self) -> Head:
        return Head(tenant=self.tenant, seq=self.seq, hash=self.hash, seal=self.seal)
