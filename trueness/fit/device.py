"""Where networks are trained and in which precision; torch is loaded when it is asked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trueness.errors import SpecError


@dataclass(frozen=True)
class Device:
    """A torch device.

    Attributes
    ----------
    name : str
    has_bf16 : bool
        Whether it multiplies bf16 natively.
    free : int or None
        Bytes that were free on it, where it is one of another machine.
    """

    name: str
    has_bf16: bool
    free: int | None = None

    @property
    def is_cuda(self) -> bool:
        """Whether it is a CUDA device."""
        return self.name.startswith("cuda")

    def free_bytes(self) -> int | None:
        """Memory that is free now; None where the system does not tell."""
        if self.free is not None:
            return self.free
        if self.is_cuda:
            import torch

            return int(torch.cuda.mem_get_info(self.name)[0])
        try:
            lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable")), None)
        return None if kib is None else 1024 * int(kib)

    def empty_cache(self) -> None:
        """Give freed memory back to the device."""
        if self.is_cuda:
            import torch

            torch.cuda.empty_cache()

    def precision(self, wanted: Literal["auto", "float32", "bf16"]) -> str:
        """Precision that `wanted` means here: bf16 under "auto" only where the hardware has it."""
        if wanted == "auto":
            return "bf16" if self.has_bf16 else "float32"
        return wanted

    def autocast(self, precision: str) -> contextlib.AbstractContextManager[object]:
        """Context in which forward passes run."""
        if precision in ("float32", "float64"):
            return contextlib.nullcontext()
        import torch

        half = torch.float16 if precision == "fp16" else torch.bfloat16
        return torch.autocast(self.name.split(":")[0], dtype=half, cache_enabled=False)


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
    import torch

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
    import torch

    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16") or features.get("bf16"))
