"""Fitting the models of a bundle on all data, and opening them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.bundle.format import Bundle, Member
from trueness.errors import StoreError
from trueness.examples import Examples
from trueness.own import answering
from trueness.tasks import Refit

Array = NDArray[np.float64]
NETWORK = "network"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Trained:
    """A member with its files, and what was chosen in its fit, in words."""

    member: Member
    files: dict[str, bytes]
    chosen: str


def trained(
    specs: Iterable[Any], refit: Refit, number: int, device: str, beside: Path,
    told: Callable[[str], None],
) -> list[Trained]:  # fmt: skip
    """Specs that differ in their seed alone, each fitted on one fold of all data.

    Parameters
    ----------
    specs : iterable of Spec
    refit : Refit
    number : int
        Of the first member.
    device : str
    beside : Path
        Folder of own files.
    told : callable
        Takes a line about each fit.

    Raises
    ------
    StoreError
        With code ``untrusted`` for an estimator that files cannot keep, ``failed`` if a network
        cannot be fitted.
    """
    some = list(specs)
    fit = _networks if some[0].model.is_network else _estimators
    found = []
    for form, settings, files, chosen in fit(some, refit.examples, device, beside):
        place = len(found)
        folder = f"members/{number + place}"
        member = Member(some[place], form, settings, refit.prepared, folder,
                        refit.examples.features)  # fmt: skip
        own = {f"{folder}/{name}": content for name, content in {**files, **refit.files}.items()}
        found.append(Trained(member, own, chosen))
        told(f"{some[place].label()}, seed {some[place].seed}: {chosen}")
    return found


Fit = tuple[str, dict[str, Any], dict[str, bytes], str]


def _networks(specs: list[Any], examples: Examples, device: str, beside: Path) -> Iterable[Fit]:
    from safetensors.numpy import save

    from trueness.fit import choose_device, fit_stack

    where = choose_device(device)
    for spec in specs:
        (fitted,) = fit_stack(examples, [spec], where, beside=beside)
        if fitted.failure is not None:
            raise StoreError(f"{spec.label()}: {fitted.failure}", "failed")
        (fold,) = fitted.folds
        weights = {name: np.ascontiguousarray(a) for name, a in fold.parameters.items()}
        chosen = f"epoch {fold.best_epoch} of {len(fold.history)}"
        yield NETWORK, {"precision": fitted.precision}, {WEIGHTS: save(weights)}, chosen


def _estimators(specs: list[Any], examples: Examples, device: str, beside: Path) -> Iterable[Fit]:
    from trueness.baselines.estimators import refitted

    del device
    for spec in specs:
        fitted, chosen = refitted(examples, spec, beside)
        settings, files = fitted.kept()
        yield fitted.form, settings, files, chosen or "fitted"


# ----------------------------------------------------------------------------------------- opening


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
        with answering(f"{bundle.folder}: {member.folder} cannot be opened", "damaged"):
            if member.form == NETWORK:
                from safetensors.numpy import load

                return cls(member, files, load(files[WEIGHTS]))
            from trueness.baselines.foreign import FORMS

            return cls(member, files, FORMS[member.form].opened(member.settings, files))

    def logits(self, examples: Examples, beside: Path = Path()) -> Array:
        """Logits (N,) of some examples.

        Raises
        ------
        SpecError
            With code ``damaged`` if the files hold a model that does not read them.
        """
        with answering(f"{self.member.folder} cannot score", "damaged"):
            found = np.asarray(self._logits(examples, beside), np.float64)
            if found.shape != examples.start.shape or not np.isfinite(found).all():
                raise ValueError("a finite score per row is needed")
        return found

    def _logits(self, examples: Examples, beside: Path) -> NDArray[Any]:
        spec = self.member.spec
        if self.member.form != NETWORK:
            from trueness.baselines.estimators import logits_of
            from trueness.baselines.inputs import columns_of

            x, _ = columns_of(examples, spec.model.inputs, examples.starts(0))
            return logits_of(self.fitted, x, spec.model.kind)
        from trueness.fit import choose_device
        from trueness.fit.scoring import network_logits

        precision = self.member.settings["precision"]
        where = choose_device("cpu")
        return network_logits(spec, self.fitted, examples, where, precision, beside)
