"""Give v2 plans their digest; on the way back, give statuses that v2 does not know the nearest one it does."""

import json
from hashlib import sha256

from django.db import migrations


def add_digests(apps, schema_editor):
    from metabuilder.builds.plans import InvalidPlan, parse_plan

    plans = apps.get_model("builds", "ScaffoldPlan")
    for plan in plans.objects.filter(digest="").iterator():
        try:
            digest = parse_plan(plan.body).digest
        except InvalidPlan:  # v2 did not validate; the row is kept, and identified by its bytes
            digest = sha256(json.dumps(plan.body, sort_keys=True).encode()).hexdigest()
        plans.objects.filter(pk=plan.pk).update(digest=digest)


def to_v2_statuses(apps, schema_editor):
    runs = apps.get_model("builds", "BuildRun")
    runs.objects.filter(status__in=["waiting_retry", "waiting_approval"]).update(status="queued")
    runs.objects.filter(status="rolled_back").update(status="failed")


class Migration(migrations.Migration):
    dependencies = [("builds", "0002_v3_columns")]
    operations = [migrations.RunPython(add_digests, to_v2_statuses)]
