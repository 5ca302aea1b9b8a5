"""Runs in use: bundles, what they predict, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueness.api.answer import Answer, Where, opened
from trueness.store import MemoryStore, Store

if TYPE_CHECKING:
    from trueness.bundle.classifying import Labelled, TitlesPredictor
    from trueness.bundle.estimator import BundleClassifier, TextsClassifier
    from trueness.bundle.monitoring import Monitored
    from trueness.bundle.predicting import Predicted, Predictor

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
        log: bool = False,
    ) -> Answer[Predicted | Labelled]:  # fmt: skip
        """What it says of new bars, rows or texts, a row each.

        Parameters
        ----------
        data, vix, features : str, Path or frame
            As of a campaign; `vix` and `features` of bars alone. Texts may also be a list.
        id_column : str, optional
            Column that names the rows. Without it those of a table are called after their numbers,
            and texts after their content.
        text_columns : sequence of str
            Columns with the texts; by default those that the corpus was made of, else ``text``.
        language_column : str, optional
            Column with the languages, which are detected otherwise.
        since : date, datetime or str, optional
            First time that is answered; by default, of bars, what comes after those that the model
            was fitted on.
        log : bool
            Write new answers into the bundle's log, which `monitor` holds against what comes; not
            with `since`.

        Raises
        ------
        TruenessError
            With the codes ``other_series``, ``other_spacing``, ``old_data``, ``missing_column``,
            ``other_kind``, ``no_source``, ``since``, ``contradiction``, ``damaged``.
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
        found = self.predictor.predict(read, None if since is None else time_of(since))
        return Answer(found.logged() if log else found, MemoryStore())

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

        given = {"data": data, "vix": vix, "features": features}
        read = self.predictor.load_if_given(given)
        table = None if labels is None else as_frame(labels)
        return Answer(monitor(self.predictor, read, table), MemoryStore())

    def as_estimator(self) -> BundleClassifier | TextsClassifier:
        """The same as a classifier of scikit-learn; of titles one of texts (n,)."""
        from trueness.bundle.estimator import classifier_of

        return classifier_of(self.predictor)


def finalize(
    run: str, out: str | Path, *, data: Any = None, vix: Any = None, features: Any = None,  # noqa: ANN401
    seeds: int = 1, precision: float | None = None, refit: bool = True, device: str = "auto",
    store: Where = DEFAULT_STORE,
) -> Bundle:  # fmt: skip
    """Refit a stored run on all data and write it, with its promise, as a bundle.

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

    given = {"data": data, "vix": vix, "features": features}
    finalize_named(opened(store), run, given, Path(out), seeds=seeds, precision=precision,
                   refit=refit, device=device)  # fmt: skip
    return Bundle(load_bundle(out))


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
    if not (store.root / "store.json").exists():
        raise StoreError(f"{folder}: no store and no bundle is there; `trueness run`, `judge` or "
                         "`finalize` make one", "no_store")  # fmt: skip
    return store
