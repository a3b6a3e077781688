"""Every error in one shape, RFC 9457 problem details: type, title, status, detail, code, errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler as rest_exception_handler
from rest_framework.views import set_rollback

from metabuilder.builds.errors import MetabuilderError

MEDIA_TYPE = "application/problem+json"
API_PREFIX = "/api/"
SHOWN_IN_DETAIL = 5
_PATH_AND_PROBLEM = re.compile(r"([A-Za-z_][\w.\[\]-]*): (.+)", re.DOTALL)


def problem(status: int, detail: str, *, code: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {
        "type": f"urn:metabuilder:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
    }


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer everything a caller can act on; None for our own failures, which `server_error` answers."""
    if isinstance(error, MetabuilderError):
        set_rollback()
        body = problem(error.http_status, str(error), code=error.code, errors=_named_problems(error))
        return Response(body, status=error.http_status, content_type=MEDIA_TYPE)
    response = rest_exception_handler(error, dict(context))
    if response is None:
        return None
    response.data = _described(error, response.status_code)
    response.content_type = MEDIA_TYPE
    return response


def _described(error: Exception, status: int) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flattened(error.detail))
        shown = "; ".join(_sentence(each) for each in errors[:SHOWN_IN_DETAIL])
        more = f"; and {len(errors) - SHOWN_IN_DETAIL} more" if len(errors) > SHOWN_IN_DETAIL else ""
        return problem(status, shown + more, code="invalid", errors=errors)
    if isinstance(error, exceptions.APIException):
        return problem(status, str(error.detail), code=str(error.get_codes()))
    if isinstance(error, Http404):
        return problem(status, "Not found.", code="not_found")
    return problem(status, "You do not have permission to perform this action.", code="permission_denied")


def _sentence(error: Mapping[str, str]) -> str:
    return f"{error['field']}: {error['detail']}" if error["field"] else error["detail"]


def _flattened(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Name each field by its path from the body's root; an empty path is the body itself."""
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            yield from _flattened(value, _inside(path, key))
    elif isinstance(detail, list | tuple):
        for index, value in enumerate(detail):
            nested = isinstance(value, Mapping | list)
            yield from _flattened(value, f"{path}[{index}]" if nested else path)
    else:
        yield {"field": path, "code": getattr(detail, "code", None) or "invalid", "detail": str(detail)}


def _inside(path: str, key: object) -> str:
    if key == api_settings.NON_FIELD_ERRORS_KEY:
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def _named_problems(error: MetabuilderError) -> list[dict[str, str]]:
    """What an error says about single fields: the lines of an invalid plan, or the one setting it names."""
    if setting := getattr(error, "setting", ""):
        return [{"field": str(setting), "code": error.code, "detail": str(error)}]
    lines = [str(line) for line in getattr(error, "problems", ())]
    matches = [(line, _PATH_AND_PROBLEM.fullmatch(line)) for line in lines]
    return [
        {"field": match[1] if match else "", "code": error.code, "detail": match[2] if match else line}
        for line, match in matches
    ]


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """For addresses that no view answers."""
    if not request.path.startswith(API_PREFIX):
        return defaults.page_not_found(request, exception)
    return _plain(HTTPStatus.NOT_FOUND, "There is nothing at this address.", "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    """For our own failures, which the log explains and the answer does not."""
    if not request.path.startswith(API_PREFIX):
        return defaults.server_error(request)
    return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.", "server_error")


def _plain(status: HTTPStatus, detail: str, code: str) -> HttpResponse:
    return JsonResponse(problem(status, detail, code=code), status=status, content_type=MEDIA_TYPE)
