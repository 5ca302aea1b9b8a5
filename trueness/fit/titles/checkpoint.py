"""Checkpoints: everything that a run needs to go on as if it had never stopped.

One file of tensors and plain values, read with `weights_only`, replaced in one step.
"""

from __future__ import annotations

import contextlib
import pickle
import uuid
from pathlib import Path
from typing import Any

import torch

from trueness.errors import StoreError
from trueness.spec.titles import TitlesSpec

VERSION = 1
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
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
        raise StoreError(f"{path}: the checkpoint cannot be written ({reason})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def load_checkpoint(path: Path, spec: TitlesSpec, digests: dict[str, str]) -> dict[str, Any]:
    """State of a checkpoint of the same spec on the same data.

    Raises
    ------
    StoreError
        If it cannot be read, or belongs to another spec, corpus or tokenizer.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, key, digests_then = content["version"], content["key"], content["digests"]
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such checkpoint") from None
    except pickle.UnpicklingError:
        raise StoreError(
            f"{path} is no checkpoint; it holds more than tensors and values"
        ) from None
    except _BROKEN as error:
        raise StoreError(
            f"{path} is no checkpoint ({_first_line(error)}); start anew without it"
        ) from None
    if version != VERSION:
        raise StoreError(f"{path} has layout {version}; this trueness reads {VERSION}")
    if key != spec.key:
        raise StoreError(f"{path} belongs to another spec ({key}, not {spec.key}); start anew")
    for name, digest in digests.items():
        if digests_then.get(name) != digest:
            raise StoreError(f"{path} was made with another {name}; start anew")
    return {k: v for k, v in content.items() if k not in ("version", "key", "spec", "digests")}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["it is damaged"])[0][:120]
