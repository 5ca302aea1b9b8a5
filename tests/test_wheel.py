"""What is installed holds all that is read at run time, and works away from the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
READ = """
from trueness.campaign import bundled_campaigns
from trueness.checks import CHECKS, page_of
from trueness.search import load_search
assert {row["campaign"] for row in bundled_campaigns()} >= {"demo", "precision"}, bundled_campaigns()
assert len(CHECKS) > 20 and all(page_of(code) for code in CHECKS)
assert load_search("published", tier="a20").name == "published-a20"
import trueness
print(trueness.__file__)
"""


@pytest.mark.slow
def test_a_wheel_holds_spaces_campaigns_checks_and_templates(tmp_path):
    command = ("wheel", str(ROOT), "--no-deps", "--quiet", "-w", str(tmp_path))
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, timeout=200)
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel)
    wanted = {
        str(p.relative_to(ROOT)) for p in (ROOT / "trueness").rglob("*.*")
        if p.is_file() and "__pycache__" not in p.parts
    }  # fmt: skip
    assert wanted <= set(inside.namelist())
    inside.extractall(tmp_path / "installed")
    actual = subprocess.run(
        [sys.executable, "-c", READ], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert actual.returncode == 0, actual.stderr
    assert actual.stdout.startswith(str(tmp_path / "installed"))
