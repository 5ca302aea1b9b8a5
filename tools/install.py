"""Make `.venv` and install trueness into it: torch first, then the rest under constraints.txt.

Standard library only, so that a machine needs nothing but Python 3.11 and make. Calling it twice
costs nothing: a stamp over pyproject.toml, constraints.txt and the extras says whether work is
left.

    python3 tools/install.py [EXTRA ...]      (default: dev text vectors pretrained serve onnx docs)
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "trueness.stamp"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def pip(*arguments: str) -> int:
    """Run pip of the virtual environment; return its exit status."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.call([*command, *arguments])


def pinned_torch() -> str:
    """Version of torch that constraints.txt names."""
    match = re.search(r"^torch==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    if match is None:
        sys.exit("tools/install.py: constraints.txt does not pin torch")
    return match[1]


def torch_attempts(version: str) -> list[list[str]]:
    """Ways to ask for torch, best first; a `+cpu` pin can never fall through to CUDA packages."""
    plain = [f"torch=={version}"]
    wants_cuda = shutil.which("nvidia-smi") is not None or os.environ.get("TRUENESS_CUDA") == "1"
    if platform.system() != "Linux" or wants_cuda:
        return [plain]
    cpu = [f"torch=={version}+cpu"]
    return [cpu, ["--index-url", TORCH_CPU_INDEX, *cpu], plain]


def install_torch() -> None:
    """Install the pinned torch, the CPU build where no NVIDIA driver is present."""
    for attempt in torch_attempts(pinned_torch()):
        print(f"installing {attempt[-1]} (about 200 MB)", flush=True)
        if pip(*attempt) == 0:
            return
    sys.exit("tools/install.py: torch could not be installed; see the messages above")


def fingerprint(extras: str) -> str:
    """Digest of everything that decides what is installed."""
    digest = hashlib.sha256(f"{extras} {sys.version_info[:2]}".encode())
    for name in ("pyproject.toml", "constraints.txt", "tools/install.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Install unless the stamp says that nothing has changed."""
    if sys.version_info < (3, 11):
        sys.exit(f"trueness needs Python 3.11 or newer, this is {platform.python_version()}")
    extras = ",".join(
        sys.argv[1:] or ["dev", "text", "vectors", "pretrained", "serve", "onnx", "docs"]
    )
    wanted = fingerprint(extras)
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    if not PYTHON.exists():
        print("creating .venv", flush=True)
        venv.create(VENV, with_pip=True)
    install_torch()
    print(f"installing trueness[{extras}] (a minute or two)", flush=True)
    if pip("--constraint", str(ROOT / "constraints.txt"), "--editable", f"{ROOT}[{extras}]") != 0:
        sys.exit("tools/install.py: installation failed; see the messages above")
    STAMP.write_text(wanted)


if __name__ == "__main__":
    main()
