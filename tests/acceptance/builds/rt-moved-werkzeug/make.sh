#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements/app.txt <<'P'
# the service
flask==2.2.2
P
put requirements/dev.txt <<'P'
pytest
P
put service/app.py <<'P'
from flask import Flask

app = Flask(__name__)


@app.get("/moorings/<int:number>")
def mooring(number):
    return {"number": number}
P
put service/test_app.py <<'P'
from app import app


def test_mooring():
    assert app.test_client().get("/moorings/4").json == {"number": 4}
P
commit "Add service" 2023-02-10T10:00:00+0000
