"""Checkpoints: everything that a run needs to go on as if it had never stopped.

One file of tensors and plain values, read with `weights_only`, replaced in one step; its last 64
bytes are the digest of those before.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch

from trueness.errors import StoreError
from trueness.files import sha256_of, written_whole
from trueness.spec.titles import TitlesSpec

VERSION = 2
DIGEST_BYTES = 64
CHUNK = 1 << 20
_BROKEN = (OSError, RuntimeError, LookupError, TypeError, AttributeError, EOFError, ValueError)


def random_state() -> dict[str, Any]:
    """State of torch's generators."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Take `random_state` back."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


def save_checkpoint(
    path: Path, spec: TitlesSpec, digests: dict[str, str], state: dict[str, Any]
) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    content = {
        "version": VERSION,
        "key": spec.key,
        "spec": spec.canonical_json(),
        "digests": digests,
        **state,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            with unfinished.open("wb") as file:
                torch.save(content, file)
            digest = sha256_of(unfinished)
            with unfinished.open("ab") as file:
                file.write(digest.encode())
    except (OSError, RuntimeError) as error:
        reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
        raise StoreError(f"{path}: the checkpoint cannot be written ({reason})") from None


def load_checkpoint(path: Path, spec: TitlesSpec, digests: dict[str, str]) -> dict[str, Any]:
    """State of a checkpoint of the same spec on the same data.

    Raises
    ------
    StoreError
        If it cannot be read, or belongs to another spec, corpus or tokenizer.
    """
    try:
        _check_digest(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, key, digests_then = content["version"], content["key"], content["digests"]
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such checkpoint") from None
    except pickle.UnpicklingError:
        raise StoreError(
            f"{path} is no checkpoint; it holds more than tensors and values", "damaged"
        ) from None
    except _BROKEN as error:
        raise StoreError(
            f"{path} is no checkpoint ({_first_line(error)}); start anew without it", "damaged"
        ) from None
    if version != VERSION:
        raise StoreError(f"{path} has layout {version}; this trueness reads {VERSION}")
    if key != spec.key:
        raise StoreError(f"{path} belongs to another spec ({key}, not {spec.key}); start anew")
    for name, digest in digests.items():
        if digests_then.get(name) != digest:
            raise StoreError(f"{path} was made with another {name}; start anew")
    return {k: v for k, v in content.items() if k not in ("version", "key", "spec", "digests")}


def _check_digest(path: Path) -> None:
    """Raise ValueError unless a file ends with the digest of what stands before."""
    size, result = path.stat().st_size - DIGEST_BYTES, hashlib.sha256()
    with path.open("rb") as file:
        for start in range(0, max(size, 0), CHUNK):
            result.update(file.read(min(CHUNK, size - start)))
        if file.read() != result.hexdigest().encode():
            raise ValueError("it is not whole, or changed since it was written")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["it is damaged"])[0][:120]
