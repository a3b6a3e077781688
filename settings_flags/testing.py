"""For tests: other platform settings for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from settings_flags.platform import platform_settings, variable
from settings_flags.registry import SETTINGS


@contextmanager
def override_settings_flags(ceilings: Mapping[str, Any] | None = None, **values: Any) -> Iterator[None]:
    """Set platform values, and ceilings by name, through the environment, as an operator does.

    Also a decorator. Processes started meanwhile inherit it. Overrides of tenants and runs still count.
    """
    variables = {variable(SETTINGS[name]): SETTINGS[name].show(value) for name, value in values.items()}
    for name, ceiling in (ceilings or {}).items():
        variables[f"{variable(SETTINGS[name])}_CEILING"] = SETTINGS[name].show(ceiling)
    try:
        with mock.patch.dict(os.environ, variables):
            platform_settings.cache_clear()
            yield
    finally:
        platform_settings.cache_clear()
