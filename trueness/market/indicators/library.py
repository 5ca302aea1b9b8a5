"""TA-Lib, imported without pandas.

Its package imports pandas to know the series that it may be given. Ours are arrays, and pandas
takes a fifth of the time in which one new bar is answered. It still knows those of a pandas that
is imported later.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Later(type):
    """Kind of a class that stands for the one of its name in pandas, once that is imported."""

    def __instancecheck__(cls, one: object) -> bool:
        pandas = sys.modules.get("pandas")
        return pandas is not None and isinstance(one, getattr(pandas, cls.__name__))

    def __call__(cls, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - a Series or DataFrame
        return getattr(sys.modules["pandas"], cls.__name__)(*args, **named)


def _imported() -> ModuleType:
    if "pandas" in sys.modules:
        import talib

        return talib
    standing_in = ModuleType("pandas")
    for name in ("Series", "DataFrame"):
        setattr(standing_in, name, _Later(name, (), {}))
    sys.modules["pandas"] = standing_in
    try:
        import talib
    finally:
        del sys.modules["pandas"]
    return talib


talib: Any = _imported()
"""The package; its functions take and give arrays."""
