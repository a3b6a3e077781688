"""What apps above this one add to its API. They register in their AppConfig."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import User

from metabuilder.builds.models import BuildRun

RunSettingsHook = Callable[[BuildRun, Mapping[str, Any], User], None]

# Called in the transaction that creates a run, with the `settings` of the request; may raise what the API answers.
on_run_created: list[RunSettingsHook] = []
