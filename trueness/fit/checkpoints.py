"""Folds that are trained while others of their run are not: kept, so that a run resumes."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trueness.files import read_tensors, write_tensors, written_whole
from trueness.fit.device import Device
from trueness.fit.member import FoldFit, Member, precision_of
from trueness.fit.monitor import TrainingWarning

PREFIX = "parameters."


@dataclass(frozen=True)
class Checkpoints:
    """Finished folds in a folder, one file for each; plain arrays, no pickles.

    Attributes
    ----------
    folder : Path
    device : Device
        A fold that was trained on another one, or in another precision, is not taken.
    """

    folder: Path
    device: Device

    def _path(self, member: Member) -> Path:
        return self.folder / member.spec.key / f"fold{member.fold}.safetensors"

    def _made_with(self, member: Member) -> list[str]:
        return [member.spec.key, self.device.name, precision_of(member.spec, self.device)]

    def save(self, member: Member, fold: FoldFit, seconds: float) -> None:
        """Keep a fold; a folder that cannot be written does without."""
        about = {
            "made_with": self._made_with(member), "history": fold.history, "seconds": seconds,
            "incidents": [one.to_dict() for one in fold.warnings], "best_epoch": fold.best_epoch,
        }  # fmt: skip
        arrays = {f"{PREFIX}{name}": value for name, value in fold.parameters.items()}
        arrays |= {"logit": fold.logit, "logit_last": fold.logit_last}
        arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        with contextlib.suppress(OSError):
            self._path(member).parent.mkdir(parents=True, exist_ok=True)
            with written_whole(self._path(member)) as unfinished:
                write_tensors(unfinished, arrays, {"about": json.dumps(about)})

    def load(self, member: Member) -> tuple[FoldFit, float] | None:
        """A kept fold and the seconds it took; None if there is none, or it is damaged."""
        try:
            arrays, noted = read_tensors(self._path(member))
            about = json.loads(noted["about"])
            if about["made_with"] != self._made_with(member):
                return None
            fold = FoldFit(
                member.fold,
                {n.removeprefix(PREFIX): a for n, a in arrays.items() if n.startswith(PREFIX)},
                about["history"], [TrainingWarning(**one) for one in about["incidents"]],
                about["best_epoch"], arrays["logit"], arrays["logit_last"],
            )  # fmt: skip
            return fold, float(about["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
