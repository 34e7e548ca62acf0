"""The manual pages agree with what the programs say of themselves, and are well-formed."""
import os
import subprocess

import pytest

from harness.paths import BIN, GATEWAYD, GWCTL, ROOT, program

PAGES = ["gatewayd.8", "gwctl.1", "gateway.yaml.5"]


def test_tables_agree_with_the_programs():
    program(GATEWAYD), program(GWCTL)
    p = subprocess.run([os.path.join(ROOT, "tools", "man-tables.py"), "--check", BIN],
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr


@pytest.mark.parametrize("page", PAGES)
def test_well_formed(page):
    p = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", os.path.join(ROOT, "man", page)],
                       capture_output=True, text=True, env={**os.environ, "MANWIDTH": "100"})
    assert p.returncode == 0 and p.stdout
    assert p.stderr == ""
