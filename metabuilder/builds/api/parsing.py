"""Reading a request's body: JSON, bounded, and nothing that could not be stored or sent back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

READ_AHEAD = 1


class PayloadTooLarge(APIException):
    status_code = 413
    default_code = "payload_too_large"

    def __init__(self, limit: int, what: str = "the request's body") -> None:
        super().__init__(f"{what} is larger than {limit // 1024} KiB")


class BoundedJSONParser(BaseParser):
    """Refuses a body over `max_bytes` unread, and text that is no Unicode (a lone half of a surrogate pair)."""

    media_type = "application/json"
    max_bytes = 1 << 20

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(self.max_bytes + READ_AHEAD)
        if len(body) > self.max_bytes:
            raise PayloadTooLarge(self.max_bytes)
        try:
            data = json.loads(body, parse_constant=_no_json)
            if b"\\ud" in body.lower():
                json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
            raise ParseError(f"JSON parse error: {error}") from error
        return data


class LargeJSONParser(BoundedJSONParser):
    max_bytes = 8 << 20


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
