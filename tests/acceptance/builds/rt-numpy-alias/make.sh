#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
numpy>=1.20
P
put mean.py <<'P'
import numpy as np


def mean(values):
    return np.array(values, dtype=np.float).mean()
P
put test_mean.py <<'P'
import unittest

from mean import mean


class MeanTest(unittest.TestCase):
    def test_mean(self):
        self.assertEqual(mean([1, 2, 3]), 2.0)
P
commit "Add mean" 2022-09-15T10:00:00+0000
