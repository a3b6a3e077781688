import logging
import threading
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from metabuilder.audit import services
from metabuilder.audit.models import AuditEvent, AuditEventsAreFinal, AuditEventType, AuditHead
from metabuilder.audit.services import record_event
from metabuilder.builds.models import Tenant
from tests.audit.triggers import without_triggers


@pytest.fixture
def tenant(db):
    return Tenant.objects.create(slug="acme", name="Acme")


def record(count, tenant=None):
    with transaction.atomic():
        return [record_event("run.created", tenant=tenant, payload={"n": n}) for n in range(count)]


def verify(*args):
    """Return the exit status and the output of verify_audit."""
    out = StringIO()
    try:
        call_command("verify_audit", *args, stdout=out)
    except SystemExit as stop:
        return stop.code, out.getvalue()
    return 0, out.getvalue()


def tamper(sql, *params):
    with without_triggers(connection), connection.cursor() as cursor:
        cursor.execute(sql, params)


def key_of(event):
    return event.pk.hex if connection.vendor == "sqlite" else event.pk


def test_record_event__everything_given__is_stored_as_text(tenant, django_user_model):
    actor = django_user_model.objects.create(username="ann")
    record_event("settings.changed", tenant=tenant, subject=actor, actor=actor, payload={"half": 0.5, "whole": 1.0})

    event = AuditEvent.objects.get()
    assert (event.tenant, event.seq, event.event_type) == (str(tenant.pk), 1, "settings.changed")
    assert (event.subject_type, event.subject_id) == ("auth.user", str(actor.pk))
    assert (event.actor_id, event.actor_name) == (str(actor.pk), "ann")
    assert event.payload == {"half": 0.5, "whole": 1}
    assert verify()[0] == 0


def test_record_event__nobody_and_no_tenant__is_the_system_on_the_platform(db):
    event = record_event("kill_switch.changed")
    assert (event.tenant, event.subject_type, event.actor_id, event.actor_name) == ("", "", "", "system")


def test_record_event__unknown_type__is_refused(db):
    with pytest.raises(ValueError, match="imagined"):
        record_event("run.imagined")
    assert not AuditEvent.objects.exists()


def test_audit_event_types__are_the_sixteen_that_are_audited():
    assert len(AuditEventType) == 16


def test_record_event__secret_in_the_payload__is_redacted(db):
    record_event("run.created", payload={"log": ["https://ann:hunter2secret@host.example/x"]})
    assert "hunter2secret" not in str(AuditEvent.objects.get().payload)


def test_record_event__each_tenant__has_a_chain_of_its_own(tenant):
    record(2, tenant)
    record(3)
    assert list(AuditEvent.objects.filter(tenant="").order_by("seq").values_list("seq", flat=True)) == [
        1,
        2,
        3,
    ]
    status, out = verify()
    assert status == 0
    assert "OK  tenant acme: 2 event(s), head 2:" in out
    assert "OK  tenant platform: 3 event(s), head 3:" in out


@pytest.mark.django_db(transaction=True)
def test_record_event__outside_a_transaction__is_refused():
    with pytest.raises(transaction.TransactionManagementError):
        record_event("run.created")
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_record_event__transaction_rolled_back__leaves_neither_event_nor_log_line(caplog):
    caplog.set_level(logging.INFO, logger="metabuilder.audit")
    with transaction.atomic():
        record_event("run.created")
        transaction.set_rollback(True)
    assert not AuditEvent.objects.exists()
    assert not caplog.records
    head = record(2)[-1]
    assert f"audit head of platform is 2:{head.hash}" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_record_event__many_at_once_in_a_new_tenant__form_one_chain():
    tenant = Tenant.objects.create(slug="busy", name="Busy")
    barrier = threading.Barrier(6)
    errors = []

    def write():
        try:
            barrier.wait()
            for _ in range(5):
                record(1, tenant)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test's own thread must see it
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert AuditEvent.objects.filter(tenant=str(tenant.pk)).count() == 30
    assert verify()[0] == 0


def test_audit_event__changed_through_the_model__is_refused(db):
    (event,) = record(1)
    event.event_type = "run.retried"
    for change in (
        event.save,
        event.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(event_type="run.retried"),
    ):
        with pytest.raises(AuditEventsAreFinal):
            change()
    assert AuditEvent.objects.get().event_type == "run.created"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor_name = 'bob'",
        "DELETE FROM audit_events",
        pytest.param("TRUNCATE audit_events", id="truncate"),
        pytest.param("INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events", id="replace"),
    ],
)
def test_audit_events__changed_in_sql__are_refused_by_the_database(db, statement):
    if statement.startswith("TRUNCATE") and connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has TRUNCATE")
    if statement.startswith("INSERT OR") and connection.vendor != "sqlite":
        pytest.skip("only SQLite has INSERT OR REPLACE")
    record(1)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEvent.objects.get().actor_name == "system"


def test_verify_audit__altered_row__exits_1_and_names_it(tenant):
    events = record(3, tenant)
    tamper("UPDATE audit_events SET actor_name = 'bob' WHERE id = %s", key_of(events[1]))
    status, out = verify()
    assert status == 1
    bad = [line for line in out.splitlines() if line.startswith("BAD")]
    assert len(bad) == 1
    assert f"tenant acme ({tenant.pk})  seq 2  event {events[1].pk}: altered" in bad[0]


def test_verify_audit__deleted_row__exits_1_and_names_the_gap(tenant):
    events = record(3, tenant)
    tamper("DELETE FROM audit_events WHERE id = %s", key_of(events[1]))
    status, out = verify("--tenant", "acme")
    assert status == 1
    assert "seq 2  no row: deleted" in out


def test_verify_audit__inserted_row__exits_1_and_names_it(tenant):
    events = record(3, tenant)
    forged = AuditEvent(
        tenant=str(tenant.pk),
        seq=4,
        event_type="approval.granted",
        actor_name="ann",
        payload={},
        created_at=events[-1].created_at,
        prev_hash=events[-1].hash,
    )
    forged.hash = services.chain.event_hash(forged.prev_hash, forged.chained())
    forged.save()
    status, out = verify()
    assert status == 1
    assert f"seq 4  event {forged.pk}: inserted" in out


def test_verify_audit__tail_cut_and_older_head_put_back__is_found_by_the_anchor(tenant):
    events = record(2, tenant)
    older = AuditHead.objects.get(tenant=str(tenant.pk))
    cut = record(1, tenant)[0]
    tamper("DELETE FROM audit_events WHERE id = %s", key_of(cut))
    older.save()
    assert verify()[0] == 0
    assert verify("--tenant", "acme", "--anchor", f"2:{events[1].hash}")[0] == 0
    status, out = verify("--tenant", str(tenant.pk), "--anchor", f"3:{cut.hash}")
    assert status == 1
    assert "seq 3  no row: deleted: the event that the anchor names is gone" in out


def test_verify_audit__whole_trail_gone__is_found_by_the_anchor(tenant):
    (event,) = record(1, tenant)
    tamper("DELETE FROM audit_events")
    AuditHead.objects.all().delete()
    assert verify("--tenant", "acme", "--anchor", f"1:{event.hash}")[0] == 1


def test_verify_audit__head_forged_and_then_continued__still_shows(tenant):
    events = record(2, tenant)
    tamper("UPDATE audit_events SET actor_name = 'bob' WHERE id = %s", key_of(events[1]))
    forged = AuditEvent.objects.get(pk=events[1].pk)
    new_hash = services.chain.event_hash(forged.prev_hash, forged.chained())
    tamper("UPDATE audit_events SET hash = %s WHERE id = %s", new_hash, key_of(forged))
    AuditHead.objects.update(hash=new_hash)

    (after,) = record(1, tenant)

    status, out = verify()
    assert status == 1
    assert f"seq 3  event {after.pk}: continues a head that somebody had written to" in out


def test_verify_audit__another_key__finds_the_seal_wrong(tenant, settings):
    record(1, tenant)
    settings.METABUILDER_AUDIT_KEY = "another"
    status, out = verify()
    assert status == 1
    assert "the head's seal is wrong" in out


@pytest.mark.parametrize("anchor", ["3", "x:" + "0" * 64, "3:abc", "0:" + "0" * 64])
def test_verify_audit__anchor_that_is_none__is_bad_usage(db, anchor):
    with pytest.raises(CommandError, match="expected SEQ:HASH"):
        call_command("verify_audit", "--anchor", anchor)


def test_verify_audit__anchor_without_its_tenant__is_bad_usage(tenant):
    record(1, tenant)
    (event,) = record(1)
    with pytest.raises(CommandError, match="--anchor needs --tenant"):
        call_command("verify_audit", "--anchor", f"1:{event.hash}")


def test_audit_admin__superuser__reads_and_changes_nothing(tenant, admin_client):
    (event,) = record(1, tenant)
    page = f"/admin/audit/auditevent/{event.pk}/change/"
    assert event.hash in admin_client.get(page).content.decode()
    assert admin_client.get("/admin/audit/auditevent/").status_code == 200
    assert admin_client.post(page, {"actor_name": "bob"}).status_code == 403
    assert admin_client.post(f"/admin/audit/auditevent/{event.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get("/admin/audit/auditevent/add/").status_code == 403


def test_audit_admin__staff_without_permission__sees_nothing(tenant, client):
    record(1, tenant)
    client.force_login(User.objects.create(username="clerk", is_staff=True))
    assert client.get("/admin/audit/auditevent/").status_code == 403


def test_verify_audit__tenant_without_a_trail__is_bad_usage_not_ok(tenant):
    record(1, tenant)
    with pytest.raises(CommandError, match="no audit trail of tenant 'acne'; there are: acme"):
        call_command("verify_audit", "--tenant", "acne")


@pytest.mark.django_db(transaction=True)
def test_append_only_migration__reversed_and_applied_again__refuses_again():
    record(1)
    with without_triggers(connection), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_events SET actor_name = 'bob'")
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_events SET actor_name = 'eve'")
