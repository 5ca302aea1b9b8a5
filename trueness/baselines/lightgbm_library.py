"""Scores of a kept LightGBM model, from the library of the package alone.

``import lightgbm`` brings scikit-learn and pandas and takes longer than everything else that a
prediction needs; the C interface of the same file answers in the same digits.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from trueness.baselines.clibrary import opened

RAW_SCORE, FLOAT64, ROW_MAJOR = 1, 1, 1
"""Constants of the C interface (``LightGBM/c_api.h``)."""


def _call(name: str, *arguments: object) -> None:
    opened("lightgbm", "_lightgbm", "LGBM_GetLastError")(name, *arguments)


class KeptBooster:
    """A booster in memory of the library, freed with the object.

    Parameters
    ----------
    text : str
        In LightGBM's text format.

    Raises
    ------
    SpecError
        If LightGBM is not installed.
    ValueError
        If the text is no model.
    """

    def __init__(self, text: str) -> None:
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        _call("LGBM_BoosterLoadModelFromString", ctypes.c_char_p(text.encode()),
              ctypes.byref(iterations), ctypes.byref(self._handle))  # fmt: skip

    def __del__(self) -> None:
        if self._handle:
            _call("LGBM_BoosterFree", self._handle)

    def raw_scores(self, x: NDArray[np.float64], trees: int) -> NDArray[np.float64]:
        """Sums (n,) of the leaves of the first trees, for rows (n, p) with gaps as NaN.

        Raises
        ------
        ValueError
            If the rows have another number of columns than the model.
        """
        rows = np.ascontiguousarray(x, np.float64)
        scores, written = np.empty(len(rows)), ctypes.c_int64()
        _call("LGBM_BoosterPredictForMat", self._handle, ctypes.c_void_p(rows.ctypes.data),
              ctypes.c_int(FLOAT64), ctypes.c_int32(rows.shape[0]), ctypes.c_int32(rows.shape[1]),
              ctypes.c_int(ROW_MAJOR), ctypes.c_int(RAW_SCORE), ctypes.c_int(0),
              ctypes.c_int(trees), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(written),
              scores.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))  # fmt: skip
        return scores
