"""Scores of a kept XGBoost model, from the library of the package alone.

``import xgboost`` brings SciPy's sparse matrices, pandas and scikit-learn; the C interface of the
same file answers in the same digits.
"""

from __future__ import annotations

import ctypes
import json

import numpy as np
from numpy.typing import NDArray

from trueness.baselines.clibrary import opened

MARGIN = 1
"""Type of a prediction in the C interface (``xgboost/c_api.h``): log-odds."""


def _call(name: str, *arguments: object) -> None:
    opened("xgboost", "xgboost", "XGBGetLastError")(name, *arguments)


class KeptBooster:
    """A booster in memory of the library, freed with the object.

    Parameters
    ----------
    content : bytes
        In XGBoost's binary JSON.

    Raises
    ------
    SpecError
        If XGBoost is not installed.
    ValueError
        If the content is no model.
    """

    def __init__(self, content: bytes) -> None:
        self._handle = ctypes.c_void_p()
        _call("XGBoosterCreate", None, ctypes.c_uint64(0), ctypes.byref(self._handle))
        _call("XGBoosterSetParam", self._handle, b"nthread", b"1")
        _call("XGBoosterLoadModelFromBuffer", self._handle, content, ctypes.c_uint64(len(content)))

    def __del__(self) -> None:
        if self._handle:
            _call("XGBoosterFree", self._handle)

    def raw_scores(self, x: NDArray[np.float64], trees: int) -> NDArray[np.float32]:
        """Sums (n,) of the leaves of the first trees, for rows (n, p) with gaps as NaN.

        Raises
        ------
        ValueError
            If the rows have another number of columns than the model.
        """
        if not len(x):
            return np.empty(0, np.float32)
        rows = np.ascontiguousarray(x, np.float64)
        where = {"data": [rows.ctypes.data, True], "shape": rows.shape, "typestr": rows.dtype.str,
                 "strides": None, "version": 3}  # fmt: skip
        how = {"type": MARGIN, "training": False, "iteration_begin": 0, "iteration_end": trees,
               "strict_shape": False, "cache_id": 0, "missing": float("nan")}  # fmt: skip
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        scores = ctypes.POINTER(ctypes.c_float)()
        _call("XGBoosterPredictFromDense", self._handle, json.dumps(where).encode(),
              json.dumps(how).encode(), None, ctypes.byref(shape), ctypes.byref(dimensions),
              ctypes.byref(scores))  # fmt: skip
        return np.ctypeslib.as_array(scores, (len(rows),)).copy()
