#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_django.sh"

django site
cat >>site/apps/crew/models.py <<'P'
    ship = models.CharField(max_length=40, blank=True, default="")
P
put site/apps/crew/tests.py <<'P'
from django.test import TestCase

from apps.crew.models import Sailor


class SailorTest(TestCase):
    def test_ship(self):
        Sailor.objects.create(name="Ada", ship="Argo")
        self.assertEqual(Sailor.objects.get().ship, "Argo")
P
commit "Add ship"
