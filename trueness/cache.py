"""Where computed things are kept that could be computed again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``TRUENESS_CACHE``, or a folder of the user's cache."""
    if "TRUENESS_CACHE" in os.environ:
        return Path(os.environ["TRUENESS_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trueness"
