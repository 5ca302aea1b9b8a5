"""Models of a bundle, read from its files, that score rows."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.bundle.format import MEASURES, NETWORK, WEIGHTS, Bundle, Member
from trueness.examples import Examples
from trueness.own import translate_errors

Array = NDArray[np.float64]


def own_measures(bundle: Bundle) -> AbstractContextManager[None]:
    """Columns are made inside with the measures of bars that a bundle carries, if there are any.

    Raises
    ------
    StoreError
        With code ``damaged``.
    """
    if not (files := bundle.files(MEASURES)):
        return nullcontext()
    from trueness.market.measures import seeded  # tables do without its package

    return seeded(files)


@dataclass(frozen=True)
class Opened:
    """A member whose files were read and verified."""

    member: Member
    files: dict[str, bytes]
    fitted: Any

    @classmethod
    def of(cls, bundle: Bundle, member: Member) -> Opened:
        """Read and verify its files; torch is loaded for networks alone."""
        files = bundle.files(member.folder)
        with translate_errors(f"{bundle.folder}: {member.folder} cannot be opened", "damaged"):
            if member.form == NETWORK:
                from safetensors.numpy import load

                return cls(member, files, load(files[WEIGHTS]))
            from trueness.baselines.column_forms import FORMS

            return cls(member, files, FORMS[member.form].opened(member.settings, files))

    def logits(self, examples: Examples, base_folder: Path = Path()) -> Array:
        """Logits (N,) of some examples.

        Raises
        ------
        SpecError
            With code ``damaged`` if the files hold a model that does not read them.
        """
        with translate_errors(f"{self.member.folder} cannot score", "damaged"):
            result = np.asarray(self._logits(examples, base_folder), np.float64)
            if result.shape != examples.start.shape or not np.isfinite(result).all():
                raise ValueError("a finite score per row is needed")
        return result

    def _logits(self, examples: Examples, base_folder: Path) -> NDArray[Any]:
        spec = self.member.spec
        if self.member.form != NETWORK:
            from trueness.baselines.fitted import logits_of
            from trueness.baselines.inputs import columns_of

            x, _ = columns_of(examples, spec.model.inputs, examples.starts(0))
            return logits_of(self.fitted, x, spec.model.kind)
        from trueness.fit import choose_device
        from trueness.fit.scoring import network_logits

        precision = self.member.settings["precision"]
        where = choose_device("cpu")
        return network_logits(spec, self.fitted, examples, where, precision, base_folder)
