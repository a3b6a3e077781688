"""Appending to the audit trail, and checking it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from metabuilder.audit import chain
from metabuilder.audit.models import AuditEvent, AuditEventType, AuditHead
from metabuilder.audit.redaction import redact

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("metabuilder.audit")


def record_event(
    event_type: AuditEventType | str,
    *,
    tenant: models.Model | None = None,
    subject: models.Model | None = None,
    actor: AbstractBaseUser | None = None,
    payload: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Append one event to the chain of `tenant` (None: the platform). The only writer of audit events.

    Call it inside the transaction of what happened, after its other writes: the tenant's head stays locked
    until that transaction ends. Secrets in the payload's texts are redacted. `actor` None is the system.
    """
    event_type = AuditEventType(event_type)
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(f"{event_type} must be recorded in the transaction it tells of")
    head = _locked_head(str(tenant.pk) if tenant else "")
    event = AuditEvent(
        tenant=head.tenant,
        seq=head.seq + 1,
        event_type=event_type.value,
        subject_type=subject._meta.label_lower if subject else "",
        subject_id=str(subject.pk) if subject else "",
        actor_id=str(actor.pk) if actor else "",
        actor_name=actor.get_username()[:150] if actor else "system",
        payload=_redacted(chain.storable(payload or {})) | _mark_if_unsealed(head),
        created_at=timezone.now(),
        prev_hash=head.hash,
    )
    event.hash = chain.event_hash(event.prev_hash, event.chained())
    event.save(force_insert=True)
    _advance(head, event, label=str(tenant)[:200] if tenant else "platform")
    return event


def _locked_head(tenant: str) -> AuditHead:
    locked = AuditHead.objects.select_for_update()
    if head := locked.filter(tenant=tenant).first():
        return head
    # Two first events at once: the second waits here for the first to commit, and then finds its row.
    AuditHead.objects.bulk_create([AuditHead(tenant=tenant)], ignore_conflicts=True)
    return locked.get(tenant=tenant)


def _mark_if_unsealed(head: AuditHead) -> dict[str, Any]:
    if head.seq == 0 or chain.is_sealed(head.chained(), settings.METABUILDER_AUDIT_KEY):
        return {}
    logger.error("audit head of %r at %d bears a wrong seal; run verify_audit", head.tenant, head.seq)
    return {chain.UNSEALED: True}


def _advance(head: AuditHead, event: AuditEvent, *, label: str) -> None:
    seal = chain.seal(settings.METABUILDER_AUDIT_KEY, event.tenant, event.seq, event.hash)
    AuditHead.objects.filter(pk=head.pk).update(seq=event.seq, hash=event.hash, seal=seal, label=label)
    # The log is the anchor outside the database, so it must not name an event that was rolled back.
    transaction.on_commit(lambda: _log_head(event, label))


def _log_head(event: AuditEvent, label: str) -> None:
    logger.info(
        "audit head of %s is %d:%s",
        label,
        event.seq,
        event.hash,
        extra={"tenant": event.tenant, "event_type": event.event_type, "seq": event.seq, "hash": event.hash},
    )


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def tenants_with_a_trail() -> dict[str, str]:
    """Return the label of every tenant that has events or a head, by tenant id."""
    labels = dict.fromkeys(AuditEvent.objects.order_by("tenant").values_list("tenant", flat=True).distinct(), "")
    return labels | dict(AuditHead.objects.order_by("tenant").values_list("tenant", "label"))


def verify_tenant(tenant: str, *, anchors: Mapping[int, str] | None = None) -> Iterator[chain.Problem]:
    """Yield what is wrong with a tenant's trail. Events may be appended meanwhile; memory use is constant."""
    row = AuditHead.objects.filter(tenant=tenant).first()
    head = row.chained() if row else None
    events = AuditEvent.objects.filter(tenant=tenant).order_by("seq")
    # Up to the head as read first: those rows were committed with it, whatever is appended from here on.
    sealed = events.filter(seq__lte=head.seq) if head else events
    yield from chain.verify(
        (event.chained() for event in sealed.iterator(chunk_size=500)),
        head,
        settings.METABUILDER_AUDIT_KEY,
        anchors={seq: hash for seq, hash in (anchors or {}).items() if not head or seq <= head.seq},
    )
    if head:
        yield from _problems_past(head, events.filter(seq__gt=head.seq), anchors or {})


def _problems_past(
    head: chain.Head, events: models.QuerySet[AuditEvent], anchors: Mapping[int, str]
) -> Iterator[chain.Problem]:
    newer = {event.seq: event for event in events.iterator(chunk_size=500)}
    row = AuditHead.objects.filter(tenant=head.tenant).first()
    head_seq_now = row.seq if row else head.seq
    for seq, event in newer.items():
        if seq > head_seq_now:
            what = f"inserted: the sealed head ends at {head_seq_now}"
            yield chain.Problem(tenant=head.tenant, seq=seq, event_id=str(event.id), what=what)
    for seq, hash in sorted(anchors.items()):
        if seq > head.seq and (seq not in newer or newer[seq].hash != hash):
            yield chain.Problem(tenant=head.tenant, seq=seq, what=chain.ANCHORED_EVENT_GONE)


def head_of(tenant: str) -> chain.Head:
    """Return a tenant's head as stored; an empty one if there is none."""
    return (AuditHead.objects.filter(tenant=tenant).first() or AuditHead(tenant=tenant)).chained()
