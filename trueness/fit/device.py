"""Where a stack is trained and in which precision."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import torch

from trueness.errors import SpecError


@dataclass(frozen=True)
class Device:
    """A torch device and whether it multiplies bf16 natively."""

    name: str
    has_bf16: bool

    def precision(self, wanted: Literal["auto", "float32", "bf16"]) -> str:
        """Precision that `wanted` means here: bf16 under "auto" only where the hardware has it."""
        if wanted == "auto":
            return "bf16" if self.has_bf16 else "float32"
        return wanted

    def autocast(self, precision: str) -> contextlib.AbstractContextManager[object]:
        """Context in which forward passes run."""
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.name.split(":")[0], dtype=torch.bfloat16)


def choose_device(name: str = "auto") -> Device:
    """Device by name, or the best one present.

    Parameters
    ----------
    name : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises
    ------
    SpecError
        If the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    kind = name.split(":")[0]
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    count = torch.cuda.device_count() if kind == "cuda" else 0
    known = {kind, *(f"cuda:{index}" for index in range(count))}
    if not present.get(kind, False) or name not in known:
        here = ", ".join(k for k, there in present.items() if there)
        raise SpecError(f"device {name!r} is not available; choose from auto, {here}")
    if kind == "cuda":
        return Device(name, torch.cuda.is_bf16_supported(including_emulation=False))
    return Device(name, kind == "cpu" and _cpu_has_bf16())


def _cpu_has_bf16() -> bool:
    """Whether the processor has bf16 dot products; emulated ones are slower than float32."""
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16") or features.get("bf16"))
