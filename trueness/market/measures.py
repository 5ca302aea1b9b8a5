"""Measures of windows of closes, which are kept on disk: a new bar costs one window, not all.

A measure of a row depends on the closes of its window alone, so that what was computed of a series
holds for every longer one that begins with the same closes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import Kernel, interpreted
from trueness.files import cache_folder, read_tensors, write_tensors, written_whole

Array = NDArray[np.float64]

FEW_ROWS = 5
"""Rows up to which interpreting is faster than loading numba."""
BEGINNING = 250
"""Closes by which a series is found again."""
_foreign: ContextVar[Path | None] = ContextVar("_foreign", default=None)


class Measures:
    """Measures of one series of closes, each computed once.

    Parameters
    ----------
    closes : (T,) float64
        C-contiguous, without gaps.
    folder : Path, optional
        Where measures of earlier closes lie; without, nothing is read or written.
    version : str
        Of the code that computes them.
    """

    def __init__(self, closes: Array, folder: Path | None = None, version: str = "") -> None:
        self.closes = closes
        begins = hashlib.sha256(version.encode() + closes[:BEGINNING].tobytes())
        self._name = f"measures-{begins.hexdigest()[:24]}.safetensors"
        self._path = None if folder is None else folder / self._name
        self._kept: dict[str, Array] | None = None
        self._of_more = False
        self._made: dict[str, Array] = {}

    def of(self, kernel: Kernel, n: int, *options: int | Array) -> Array:
        """What a kernel says of the windows of n closes, (T,) or (T, k); row t ends with close t.

        Parameters
        ----------
        kernel : Kernel
            Of `trueness.market.kernels` or `trueness.market.emd`.
        n : int
            Closes in a window.
        *options
            Further arguments of the kernel.
        """
        note = " ".join(np.array2string(np.asarray(one)) for one in options)
        name = f"{kernel.name} {n} {note}"
        if name not in self._made:
            self._made[name] = self._extended(name, kernel, n, options)
        return self._made[name]

    def _extended(
        self, name: str, kernel: Kernel, n: int, options: tuple[int | Array, ...]
    ) -> Array:
        """Rows that are known, and the rest."""
        if self._kept is None:
            self._kept = self._read()
        known = self._kept.get(name)
        with interpreted():
            shape = kernel(self.closes[:1], n, *options).shape[1:]
        if known is not None and known.shape[1:] != shape:
            del self._kept[name]
            known = None
        start = 0 if known is None else len(known)
        todo = len(self.closes) - start
        if known is not None and not todo:
            return known
        few = todo <= FEW_ROWS and start >= n - 1
        with interpreted() if few else nullcontext(), np.errstate(all="ignore"):
            made = kernel(self.closes[max(0, start - n + 1) :], n, *options)
        return made if known is None else np.concatenate([known, made[-todo:]])

    def _read(self) -> dict[str, Array]:
        """Measures of closes that this series begins with, each as far as it was made."""
        try:
            if self._path is None or not self._path.exists():
                return {}
            kept, _ = read_tensors(self._path)
            closes = kept.pop("closes")
        except (OSError, ValueError, KeyError):
            return {}  # damaged: it is written again
        if closes.ndim != 1 or any(one.dtype != np.float64 or not one.ndim
                                   for one in (closes, *kept.values())):  # fmt: skip
            return {}
        alike = min(len(closes), len(self.closes))
        differs = np.flatnonzero(closes[:alike] != self.closes[:alike])
        rows = int(differs[0]) if len(differs) else alike
        self._of_more = rows == len(self.closes) < len(closes)
        return {name: values[:rows] for name, values in kept.items()}

    def keep(self) -> None:
        """Write what was computed, if anything was; done without where it cannot be written.

        Measures of a longer series stay as they are.
        """
        kept = self._kept or {}
        new = any(len(kept.get(name, ())) < len(made) for name, made in self._made.items())
        if self._path is None or self._of_more or not new:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(self._path, durable=False) as unfinished:
                write_tensors(unfinished, {"closes": self.closes, **kept, **self._made})

    def files(self) -> dict[str, bytes]:
        """What was asked for, as a file that `seed` puts into another folder; none without."""
        if not self._made:
            return {}
        with TemporaryDirectory() as folder:
            path = Path(folder) / self._name
            write_tensors(path, {"closes": self.closes, **self._made})
            return {self._name: path.read_bytes()}


def measures_folder() -> Path:
    """Where measures are kept: in the cache folder, inside `seeded` in one of the files."""
    return _foreign.get() or cache_folder()


@contextmanager
def seeded(files: Mapping[str, bytes]) -> Generator[None]:
    """Measures that another machine made are known inside, and kept apart from those of this one.

    Nobody vouches for them: whoever reads other files must not meet them.

    Parameters
    ----------
    files : mapping of str to bytes
        As `Measures.files` gives them. They are done without where they cannot be written.
    """
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()} ".encode())
    folder = cache_folder() / f"measures-{digest.hexdigest()[:24]}"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if not (folder / name).exists():
                with written_whole(folder / name, durable=False) as unfinished:
                    unfinished.write_bytes(content)
    token = _foreign.set(folder)
    try:
        yield
    finally:
        _foreign.reset(token)
