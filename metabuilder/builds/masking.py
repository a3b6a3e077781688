"""What people may see of a plan: the values of variables that are named as secrets are, are not shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "********"

_NAME = re.compile(
    r"TOKEN|PASSW|SECRET|AUTH|CREDENTIAL|USERNAME|COOKIE|(?:^|_)(?:KEY|PAT|PWD|OTP)(?:_|$)", re.IGNORECASE
)


def names_a_secret(name: str) -> bool:
    """Whether a variable's name says that its value is a credential."""
    return bool(_NAME.search(name))


def masked_plan(body: Mapping[str, Any]) -> dict[str, Any]:
    """A plan's document as it may be shown."""
    masked: dict[str, Any] = _masked(body, "")
    return masked


def masked_delta(operations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A JSON Patch of a plan as it may be shown; the rest of it, and its order, is exact."""
    return [_masked_operation(operation) for operation in operations]


def _masked_operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    if "value" not in operation:
        return dict(operation)
    *_, parent, name = ("", *str(operation.get("path", "")).split("/"))
    name = name.replace("~1", "/").replace("~0", "~")
    value = operation["value"]
    if parent == "env" and not isinstance(value, Mapping):
        return {**operation, "value": _shown(name, value)}
    return {**operation, "value": _masked(value, name)}


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        if key == "env":
            return {name: _shown(name, inner) for name, inner in value.items()}
        return {name: _masked(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(inner, "") for inner in value]
    return value


def _shown(name: str, value: Any) -> Any:
    return MASK if names_a_secret(name) and value else value
