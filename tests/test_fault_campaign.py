"""The campaign of kills, a small part of it; all of it is `python tools/fault_campaign.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

TOOL = Path(__file__).parents[1] / "tools" / "fault_campaign.py"


def _faults(folder, *words):
    done = subprocess.run(
        [sys.executable, TOOL, "--folder", folder, *map(str, words)], capture_output=True,
        text=True, check=False, env={**os.environ, "TRUENESS_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_a_few_kills_of_two_commands_lose_and_leave_nothing(tmp_path):
    said = _faults(tmp_path, "--kills", 8, "--only", "build,judge")
    assert said.endswith("0 faults\n")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_and_leave_nothing(tmp_path):
    assert _faults(tmp_path, "--kills", 100, "--seed", 1).endswith("0 faults\n")
