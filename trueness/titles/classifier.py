"""An encoder with its weights, ready to classify texts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from tokenizers import Tokenizer

from trueness.errors import StoreError
from trueness.files import foreign_json
from trueness.fit.device import Device, choose_device
from trueness.fit.titles.scoring import logits_of
from trueness.models.pretrained import Source
from trueness.models.titles_networks import TitleNetwork, build_network, load_weights
from trueness.spec.titles import TitlesModel, TitlesSpec
from trueness.store import Run
from trueness.text.foreign import pinned_digest
from trueness.text.pretrained import CONFIG, TOKENIZER, WEIGHTS, PretrainedFolder, find_folder
from trueness.text.tokens import encode, load_tokenizer, vocabulary_of


@dataclass(frozen=True)
class Classifier:
    """Network, tokenizer and classes, on a device.

    Attributes
    ----------
    spec : TitlesSpec
        Of an encoder.
    precision : str
        As in training.
    network : TitleNetwork
    tokenizer : Tokenizer
    classes : tuple of str
    device : Device
    """

    spec: TitlesSpec
    precision: str
    network: TitleNetwork
    tokenizer: Tokenizer
    classes: tuple[str, ...]
    device: Device

    @classmethod
    def of(
        cls, spec: TitlesSpec, precision: str, parameters: Mapping[str, NDArray[np.float32]],
        tokenizer: Tokenizer, classes: tuple[str, ...], device: Device,
        source: Source | None = None,
    ) -> Self:  # fmt: skip
        """From weights by name.

        Parameters
        ----------
        spec : TitlesSpec
        precision : str
        parameters : mapping of str to array
            Those that were trained, or all.
        tokenizer : Tokenizer
        classes : tuple of str
        device : Device
        source : Path or mapping, optional
            Folder of a pretrained encoder, or its config if `parameters` are all.

        Raises
        ------
        StoreError
            If they do not fit tokenizer and classes.
        """
        vocabulary = vocabulary_of(tokenizer)
        weights = {name: torch.from_numpy(w) for name, w in parameters.items()}
        with contextlib.nullcontext() if source is not None else torch.device("meta"):
            network = build_network(spec.model, vocabulary if source is None else source,
                                    len(classes), torch.Generator("cpu"))  # fmt: skip
        try:
            load_weights(network, weights)
        except RuntimeError:
            raise StoreError(
                f"the weights do not fit a tokenizer of {vocabulary:,} entries and "
                f"{len(classes)} classes; the folder was changed", "damaged",
            ) from None  # fmt: skip
        return cls(spec, precision, network.to(device.name).eval(), tokenizer, classes, device)

    def logits(
        self, texts: Sequence[str] | pl.Series, cache: Path | None = None
    ) -> NDArray[np.float32]:
        """Logits (n, K) of texts."""
        series = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
        most = self.spec.task.max_tokens
        tokens = encode(series, self.tokenizer, max_tokens=most, cache=cache)
        return logits_of(self.network, tokens, len(self.classes), self.device, self.precision)


def load_classifier(
    run: Run[TitlesSpec], device: Device, known: PretrainedFolder | None = None
) -> Classifier:
    """The network of a stored run with its weights.

    Parameters
    ----------
    run : Run
        On titles.
    device : Device
    known : PretrainedFolder, optional
        Where the encoder lies that it may begin with; others are looked for.

    Raises
    ------
    StoreError
        If the run is a baseline, its tokenizer does not fit its weights, or the folder that it
        begins with is not here.
    """
    check_keeps_weights(run)
    source, tokenizer = _source(run, known)
    classes, precision = tuple(run.record["classes"]), run.record["precision"]
    try:
        return Classifier.of(run.spec, precision, run.parameters(), load_tokenizer(tokenizer),
                             classes, device, source)  # fmt: skip
    except StoreError as error:
        raise StoreError(f"{run.key}: {error}", error.code) from None


def check_keeps_weights(run: Run[TitlesSpec]) -> None:
    """Refuse a run that stores no weights.

    Raises
    ------
    StoreError
        With code ``no_weights``.
    """
    if run.spec.model.engine != "encoder":
        raise StoreError(
            f"{run.key} is {run.spec.label()}, whose run keeps no weights; the bundle that "
            f"`trueness finalize {run.key} --out FOLDER` makes does", "no_weights",
        )  # fmt: skip
    lost = [name for name in _kept(run.spec.model) if name not in run.record["files"]]
    if lost:
        raise StoreError(f"{run.key} stores no {lost[0]}; run it again", "no_weights")


# ------------------------------------------------------------------------------ pretrained encoders


def kept_files(model: TitlesModel, tokenizer: Path) -> dict[str, bytes]:
    """Files that a run stores beside its weights: what is not in a folder that it needs anyway.

    Parameters
    ----------
    model : TitlesModel
    tokenizer : Path
        With the config beside it, of a pretrained encoder.
    """
    places = {TOKENIZER: tokenizer, CONFIG: tokenizer.with_name(CONFIG)}
    return {name: places[name].read_bytes() for name in _kept(model)}


def _kept(model: Any) -> tuple[str, ...]:  # noqa: ANN401 - of titles
    if not model.is_pretrained:
        return (TOKENIZER,)
    return (TOKENIZER, CONFIG) if model.tune.whole else ()


def _source(
    run: Run[TitlesSpec], known: PretrainedFolder | None = None
) -> tuple[Source | None, Path]:
    """What a stored run is loaded with beside its weights, and its tokenizer."""
    names = _kept(run.spec.model)
    if not names:
        model: Any = run.spec.model
        digest = pinned_digest(model)
        if known is None or known.digest != digest:
            known = find_folder(model.of, digest)
        return known.path, known.tokenizer
    config = foreign_json(run.file(CONFIG)) if CONFIG in names else None
    return config, run.file(TOKENIZER)


def complete_files(
    spec: TitlesSpec, parameters: Mapping[str, NDArray[np.float32]], source: Source | None,
    tokenizer: Path, classes: tuple[str, ...],
) -> dict[str, bytes]:  # fmt: skip
    """Files that hold a whole classifier: all weights, tokenizer, and config if it needs one.

    Parameters
    ----------
    spec : TitlesSpec
    parameters : mapping of str to array
        Those that were trained.
    source : Path or mapping, optional
        See `Classifier.of`.
    tokenizer : Path
    classes : tuple of str
    """
    model: Any = spec.model
    files = {TOKENIZER: tokenizer.read_bytes()}
    if source is None:
        return {WEIGHTS: save(dict(parameters)), **files}
    content = foreign_json(source / CONFIG) if isinstance(source, Path) else source
    files[CONFIG] = json.dumps(content, indent=1).encode()
    if model.tune.whole:
        return {WEIGHTS: save(dict(parameters)), **files}
    made: Any = Classifier.of(spec, "float32", parameters, load_tokenizer(tokenizer), classes,
                              choose_device("cpu"), source)  # fmt: skip
    weights = {name: w.numpy() for name, w in made.network.complete().items()}
    return {WEIGHTS: save(weights), **files}


def complete_run(run: Run[TitlesSpec]) -> dict[str, bytes]:
    """The same of a stored run.

    Raises
    ------
    StoreError
        As `load_classifier`.
    """
    check_keeps_weights(run)
    source, tokenizer = _source(run)
    classes = tuple(run.record["classes"])
    return complete_files(run.spec, run.parameters(), source, tokenizer, classes)
