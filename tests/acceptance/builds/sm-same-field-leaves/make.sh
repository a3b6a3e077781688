#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_django.sh"

django site
sed -i 's/max_length=40/max_length=60/' site/apps/stock/models.py
for length in 50 60; do
    put site/apps/stock/migrations/0002_label_$length.py <<P
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_initial")]
    operations = [
        migrations.AlterField(model_name="crate", name="label", field=models.CharField(max_length=$length)),
    ]
P
done
commit "Merge branch 'longer-labels'"
