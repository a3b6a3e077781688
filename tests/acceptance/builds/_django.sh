# Sourced by the cases with a Django site.
django() { # django FOLDER: a site on sqlite below FOLDER with apps in FOLDER/apps
    put "$1/manage.py" 755 <<'P'
#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
P
    put "$1/config/__init__.py" </dev/null
    put "$1/config/settings/__init__.py" </dev/null
    put "$1/config/settings/test.py" <<'P'
from pathlib import Path

SECRET_KEY = "test-only"
INSTALLED_APPS = ["django.contrib.contenttypes", "apps.stock", "apps.crew"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parents[2] / "test.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
P
    put "$1/apps/__init__.py" </dev/null
    for app in stock crew; do
        put "$1/apps/$app/__init__.py" </dev/null
        put "$1/apps/$app/migrations/__init__.py" </dev/null
    done
    put "$1/apps/stock/models.py" <<'P'
from django.db import models


class Crate(models.Model):
    label = models.CharField(max_length=40)
P
    put "$1/apps/crew/models.py" <<'P'
from django.db import models


class Sailor(models.Model):
    name = models.CharField(max_length=80)
P
    for pair in stock:Crate:label:40 crew:Sailor:name:80; do
        IFS=: read -r app model field length <<<"$pair"
        put "$1/apps/$app/migrations/0001_initial.py" <<P
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="$model",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("$field", models.CharField(max_length=$length)),
            ],
        ),
    ]
P
    done
}
