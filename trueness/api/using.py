"""Runs in use: bundles, what they predict, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trueness.api.answer import Answer, Where, opened, several
from trueness.store import MemoryStore, Store

if TYPE_CHECKING:
    from trueness.attribution.importance import Importance
    from trueness.attribution.word_effects import WordImportance
    from trueness.bundle.classifying import Labelled, TitlesPredictor
    from trueness.bundle.estimator import BundleClassifier, TextsClassifier
    from trueness.bundle.exporting import Exported
    from trueness.bundle.exporting_titles import ExportedTitles
    from trueness.bundle.predicting import Predicted, Predictor
    from trueness.bundle.watching import Monitored

DEFAULT_STORE = Path("store")


@dataclass(frozen=True, repr=False)
class Bundle:
    """A run in use; `trueness.load` opens the folder of one."""

    predictor: Predictor | TitlesPredictor

    def __repr__(self) -> str:
        return f"<Bundle: {self.predictor.bundle.name}, {self.predictor.bundle.folder}>"

    def predict(
        self, data: Any, *, vix: Any = None, features: Any = None, id_column: str | None = None,  # noqa: ANN401
        text_columns: Sequence[str] = (), language_column: str | None = None, since: Any = None,  # noqa: ANN401
        top: int = 1, log: bool = False,
    ) -> Answer[Predicted | Labelled]:  # fmt: skip
        """What it says of new bars, rows or texts, a row each.

        Parameters
        ----------
        data, vix, features : str, Path or frame
            As of a campaign; `vix` and `features` of bars alone. Texts may also be a list.
        id_column : str, optional
            Column that names the rows; of texts by default that of the corpus. Without one, rows
            of a table are called after their numbers, and texts after their content.
        text_columns : sequence of str
            Columns with the texts; by default those that the corpus was made of, else ``text``.
        language_column : str, optional
            Column with the languages; by default that of the corpus, if it is there. Detected
            otherwise.
        since : date, datetime or str, optional
            First time that is answered; by default, of bars, what comes after those that the model
            was fitted on.
        top : int
            Of texts: classes that are named for each, with their calibrated probabilities.
        log : bool
            Write new answers into the bundle's log, which `monitor` holds against what comes; not
            with `since`.

        Raises
        ------
        TruenessError
            With the codes ``other_series``, ``other_spacing``, ``old_data``, ``missing_column``,
            ``other_kind``, ``no_source``, ``since``, ``top``, ``number``, ``contradiction``,
            ``damaged``.
        """
        from trueness.bundle.predicting import time_of
        from trueness.errors import TruenessError

        if log and since is not None:
            raise TruenessError("answers from a chosen time on are not logged; leave out `since` "
                                "or `log`", "since")  # fmt: skip
        read = self.predictor.load({
            "data": data, "vix": vix, "features": features, "id_column": id_column,
            "text_columns": tuple(text_columns) or None, "language_column": language_column,
        })  # fmt: skip
        result = self.predictor.predict(read, None if since is None else time_of(since), top)
        return Answer(result.logged() if log else result, MemoryStore())

    def monitor(
        self, data: Any = None, *, vix: Any = None, features: Any = None, labels: Any = None  # noqa: ANN401
    ) -> Answer[Monitored]:  # fmt: skip
        """What became of its logged answers, and whether its promise is refuted.

        Parameters
        ----------
        data, vix, features : str, Path or frame, optional
            Bars that go on after the answers; labels follow from them.
        labels : frame, optional
            Columns ``id`` and ``y``: 0 or 1, of texts the name of the class.

        Raises
        ------
        TruenessError
            With the codes ``nothing_logged``, ``no_labels``, ``unknown_ids``, ``contradiction``,
            ``damaged``.
        """
        from trueness.bundle.monitoring import monitor
        from trueness.frames import as_frame

        sources = {"data": data, "vix": vix, "features": features}
        read = self.predictor.load_if_given(sources)
        table = None if labels is None else as_frame(labels)
        return Answer(monitor(self.predictor, read, table), MemoryStore())

    def export(
        self, path: str | Path, data: Any = None, *, vix: Any = None, features: Any = None,  # noqa: ANN401
        rows: str | Path | None = None,
    ) -> Answer[Exported | ExportedTitles]:  # fmt: skip
        """Write it as an ONNX graph: rows in, logit and calibrated probability out.

        Parameters
        ----------
        path : str or Path
            File that ends in ``.onnx``; one that is there is replaced.
        data, vix, features : str, Path or frame, optional
            Rows on which a runtime is compared with the bundle; random ones without any.
        rows : str or Path, optional
            Also write what was compared into this file, which ends in ``.npz``.

        Raises
        ------
        TruenessError
            With the codes ``own_missing``, ``no_converter``, ``differs``, ``too_large``,
            ``output_suffix``, ``output_path``, ``out``, and those of `predict`.
        """
        from trueness.bundle.exporting import export

        sources = {"data": data, "vix": vix, "features": features}
        result = export(self.predictor, Path(path), sources, None if rows is None else Path(rows))
        return Answer(result, MemoryStore())

    def as_estimator(self) -> BundleClassifier | TextsClassifier:
        """The same as a classifier of scikit-learn; of titles one of texts (n,)."""
        from trueness.bundle.estimator import classifier_of

        return classifier_of(self.predictor)


def finalize(
    run: str, out: str | Path, *, data: Any = None, vix: Any = None, features: Any = None,  # noqa: ANN401
    seeds: int = 1, precision: float | None = None, refit: bool = True, device: str = "auto",
    store: Where = DEFAULT_STORE,
) -> Bundle:  # fmt: skip
    """Refit a stored run up to the end of its data and write it, with its promise, as a bundle.

    Parameters
    ----------
    run : str
        Id, key or the beginning of a key.
    out : str or Path
        New folder.
    data, vix, features : str, Path or frame, optional
        Data of the run, or longer ones; those that its record names by default.
    seeds : int
        Models that are fitted and averaged.
    precision : float, optional
        Take the threshold that is certified for it; of titles, abstain where none is certified.
    refit : bool
        Without it an encoder on titles is used with the weights that its run keeps.
    device : str
    store : Store, str or Path

    Raises
    ------
    TruenessError
        With the codes ``no_model``, ``other_data``, ``untrusted``, ``seeds``, ``out``, ``logged``.
    """
    from trueness.bundle.finalizing import finalize_named
    from trueness.bundle.predicting import load as load_bundle

    sources = {"data": data, "vix": vix, "features": features}
    finalize_named(opened(store), run, sources, Path(out), seeds=seeds, precision=precision,
                   refit=refit, device=device)  # fmt: skip
    return Bundle(load_bundle(out))


def importance(
    run: str | Path, *, by: Literal["family", "column"] | None = None,
    groups: str | Sequence[str] = (), repeats: int = 10, partial: int = 0, seed: int | None = None,
    text: str | None = None, texts: int | None = None, open_test: bool = False, data: Any = None,  # noqa: ANN401
    vix: Any = None, features: Any = None, device: str = "auto", store: Where = DEFAULT_STORE,  # noqa: ANN401
) -> Answer[Importance | WordImportance]:  # fmt: skip
    """Which inputs a model rests on: what it loses out of fold when they are permuted.

    Of an encoder of titles: which words move a class when they are left out, and so of a bundle on
    titles, whatever its model, in texts of `data`.

    Parameters
    ----------
    run : str or Path
        Id, key or the beginning of a key; or the folder of a bundle, which is asked about rows of
        `data` that came after its training.
    by : {"family", "column"}, optional
        Families of indicators, the default for bars; or each column by itself, that for tables.
    groups : str or sequence of str
        Only these; all without any.
    repeats : int
        Permutations that are averaged.
    partial : int
        Groups whose partial dependence is computed, those with the largest drop.
    seed : int, optional
        Of the permutations, and of the draw of texts; 0 by default.
    text : str, optional
        Of titles: ask about this text alone.
    texts : int, optional
        Of titles: texts that are drawn at most; 500 by default.
    open_test : bool
        Of titles: take the sealed test part; the ledger of the store remembers it.
    data, vix, features : str, Path or frame, optional
        Those of the run; those that its record names by default.
    device : str
    store : Store, str or Path

    Raises
    ------
    TruenessError
        With the codes ``no_model``, ``not_binary``, ``other_data``, ``not_reproduced``,
        ``unknown_group``, ``by``, ``number``, ``no_weights``, ``text``, ``no_option``; of a bundle
        ``no_data``,
        ``training_rows``, ``old_data``, ``one_class``.

    Examples
    --------
    ``trueness.importance("D-01", partial=2).report("importance.html")``
    """
    from trueness.attribution.asking import importance as compute_importance
    from trueness.attribution.asking import is_about_titles
    from trueness.attribution.importance import Asked
    from trueness.attribution.words import Asked as Words
    from trueness.attribution.words_of_bundle import words_of

    kept, name = opened(store), str(run)
    sources = {"data": data, "vix": vix, "features": features}
    if text is not None or is_about_titles(kept, name):
        words = Words.of(text, texts, seed, open_test)
        result = words_of(kept, name, sources, words, device=device,
                         access=("importance", words.question))  # fmt: skip
        return Answer(result, kept)
    asked = Asked(by, several(groups), repeats, seed or 0, partial)
    return Answer(compute_importance(kept, name, sources, asked, device=device,
                           access=("importance", asked.question)), kept)  # fmt: skip


def load(folder: str | Path = DEFAULT_STORE) -> Store | Bundle:
    """A store of runs, or a bundle, whichever the folder is.

    Parameters
    ----------
    folder : str or Path

    Raises
    ------
    StoreError
        With the code ``no_store`` if it is neither, ``store_version`` for a store of another
        version, ``newer`` or ``damaged`` for a bundle.
    """
    from trueness.bundle.format import DESCRIPTION
    from trueness.bundle.predicting import load as load_bundle
    from trueness.errors import StoreError

    if (Path(folder) / DESCRIPTION).is_file():
        return Bundle(load_bundle(folder))
    store = Store(folder)
    if not store.exists():
        raise StoreError(f"{folder}: no store and no bundle is there; `trueness run`, `judge` or "
                         "`finalize` make one", "no_store")  # fmt: skip
    return store
