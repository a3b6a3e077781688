"""The platform settings in the environment: METABUILDER_<NAME> and METABUILDER_<NAME>_CEILING."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import environ
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from metabuilder.builds.errors import MetabuilderError
from settings_flags.registry import SETTINGS, Setting
from settings_flags.resolution import PlatformSettings, platform_from


def variable(setting: Setting) -> str:
    return f"METABUILDER_{setting.name.upper()}"


@lru_cache(maxsize=1)
def platform_settings() -> PlatformSettings:
    """Read the environment, once per process. Raises ImproperlyConfigured, which names the variable."""
    values, ceilings = {}, {}
    for name, setting in SETTINGS.items():
        if (value := _read(setting, variable(setting))) is not None:
            values[name] = value
        if (ceiling := _read(setting, f"{variable(setting)}_CEILING")) is not None:
            ceilings[name] = ceiling
    for name, value in values.items():
        ceiling = ceilings.get(name, SETTINGS[name].ceiling)
        if SETTINGS[name].exceeds(value, ceiling):
            here = variable(SETTINGS[name])
            shown, limit = SETTINGS[name].show(value), SETTINGS[name].show(ceiling)
            raise ImproperlyConfigured(f"{here}={shown} is beyond {here}_CEILING={limit}")
    return platform_from(settings.METABUILDER_ENV, values, ceilings)


def _read(setting: Setting, name: str) -> Any | None:
    text = environ.Env().str(name, "").strip()
    if not text:
        return None
    try:
        return setting.parse_text(text)
    except MetabuilderError as error:
        raise ImproperlyConfigured(f"{name}={text!r}: {error}") from error
