#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put setup.cfg <<'P'
[metadata]
name = clippings
version = 0.2

[options]
py_modules = clippings
python_requires = >=3.9
install_requires =
    packaging
P
put setup.py <<'P'
from setuptools import setup

setup()
P
put clippings.py <<'P'
from bs4 import BeautifulSoup


def headings(html):
    return [h.get_text() for h in BeautifulSoup(html, "html.parser").find_all("h2")]
P
put test_clippings.py <<'P'
import unittest

from clippings import headings


class HeadingsTest(unittest.TestCase):
    def test_headings(self):
        self.assertEqual(headings("<h2>a</h2><p>x</p><h2>b</h2>"), ["a", "b"])
P
commit "Add clippings" 2024-08-01T10:00:00+0000
