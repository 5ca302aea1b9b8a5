"""Large arrays in a file that every process maps instead of getting a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.files import written_whole


class Mapped(np.memmap):
    """An array of a file, which goes to another process as the name of the file.

    Pages are private where they are written to. What is cut from it goes over whole.
    """

    def __reduce__(self) -> Any:  # noqa: ANN401 - as pickle asks
        """Name of the file; of a part of it the content."""
        if self.filename is None or isinstance(self.base, np.memmap):
            return np.asarray(self).__reduce__()
        return _opened, (str(self.filename),)


def mapped(
    path: Path, shape: tuple[int, ...], fill: Callable[[NDArray[np.float32]], None]
) -> NDArray[np.float32]:
    """Array of a file, made once; in memory where the folder cannot be written.

    Parameters
    ----------
    path : Path
        Ends in ``.npy``; its name stands for the content.
    shape : tuple of int
    fill : callable
        Writes the content into an array of that shape.
    """
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path, durable=False) as temporary:
                whole = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
                fill(whole)
                whole.flush()
                del whole
        except OSError:
            series = np.empty(shape, np.float32)
            fill(series)
            return series
    return _opened(str(path))


def _opened(path: str) -> Mapped:
    with Path(path).open("rb") as file:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        at = file.tell()
    whole: Any = Mapped(path, dtype, "c", at, shape, "F" if fortran else "C")
    return whole
