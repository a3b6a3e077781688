#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
fastapi==0.104.1
P
put requirements-dev.txt <<'P'
pytest
httpx
P
put dock/__init__.py </dev/null
put dock/api.py <<'P'
from fastapi import FastAPI

app = FastAPI()


@app.get("/berths")
def berths() -> list[int]:
    return [1, 2]
P
put tests/test_api.py <<'P'
from fastapi.testclient import TestClient

from dock.api import app

client = TestClient(app)


def test_berths():
    assert client.get("/berths").json() == [1, 2]
P
commit "Add api" 2023-11-20T10:00:00+0000
