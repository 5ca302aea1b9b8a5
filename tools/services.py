"""Install what `make test-services` starts, Chromium and PostgreSQL, from packages of Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "chromium": lambda: shutil.which("chromium") is not None,
    "postgresql": lambda: (
        any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb") is not None
    ),
}
"""Name of each package, and whether what it brings is there."""


def missing() -> list[str]:
    """Packages whose programs are not there."""
    return [name for name, is_there in PACKAGES.items() if not is_there()]


def installed(names: list[str]) -> bool:
    """Whether apt could install packages; only root may ask it."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    print("installing", *names, flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names]
    return subprocess.run(command, check=False, env=environment, **quiet).returncode == 0


def main() -> None:
    """Install what is missing, or say in one line what is needed."""
    wanted = missing()
    if wanted and not (installed(wanted) and not missing()):
        sys.exit(f"make test-services needs: apt-get install {' '.join(wanted)}")


if __name__ == "__main__":
    main()
