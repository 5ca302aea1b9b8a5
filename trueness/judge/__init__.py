"""Stored predictions in, judgement out: who leads, how good it is, where to raise an alarm.

The room is called like the function `trueness.api.judge`; calling the room calls the function.
"""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import Signature, signature
from types import ModuleType
from typing import Any

FUNCTION = "trueness.api"
"""Where the function lives; above this room, so that nothing of it is loaded from here."""


class _Room(ModuleType):
    """A package that can be called: ``trueness.judge(y, scores)``, whatever was imported before."""

    def __call__(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the function
        return import_module(FUNCTION).judge(*args, **options)

    @property
    def __signature__(self) -> Signature:
        return signature(import_module(FUNCTION).judge)


sys.modules[__name__].__class__ = _Room
