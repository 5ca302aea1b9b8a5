"""Rows of a table with a binary label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trueness.document.numbers import plural
from trueness.examples import Examples
from trueness.table import BUNDLED, Table, load_table, table_examples, table_of
from trueness.table.preparation import Preparation
from trueness.table.serving import refit_examples, unseen_examples
from trueness.tasks import Declaration, Files, Refit, binary, read_from


@dataclass(frozen=True)
class TableData:
    """A table, one row per unit.

    Attributes
    ----------
    table : Table
    id_column : str, optional
        Names the rows of a table that is predicted.
    source : str or list of str, optional
        Under which the table can be read again; None of one that was given itself.
    """

    table: Table
    id_column: str | None = None
    source: str | list[str] | None = None

    @property
    def digest(self) -> str:
        """Of names, kinds and values."""
        return self.table.digest

    def origin(self) -> dict[str, Any]:
        """What a record says of the data."""
        return {**self.table.origin(), "source": self.source}

    def kept_files(self, features: Sequence[str]) -> dict[str, bytes]:
        """Nothing: `Task.refit` keeps how columns were prepared."""
        del features
        return {}

    def in_words(self) -> str:
        """Name and rows."""
        return f"{self.table.name}, {plural(len(self.table), 'row')}"


class TableRows:
    """See `trueness.tasks.Task`."""

    kind: ClassVar[str] = "table"
    sources: ClassVar[dict[str, str]] = {"rows": "data"}
    default: ClassVar[str] = BUNDLED
    tabular: ClassVar[bool] = True
    earlier: ClassVar[None] = None
    baselines = staticmethod(binary.baselines)
    examples_key = staticmethod(binary.examples_key)
    counts = staticmethod(binary.counts)

    def load(
        self,
        sources: Mapping[str, Any],
        needed: bool = True,
        callback: Any = None,  # noqa: ANN401
    ) -> TableData:
        """Read a file, or take a frame of polars, pandas or Arrow."""
        del needed, callback
        source = sources.get("data")
        read = source is None or isinstance(source, str | Path)
        table = load_table(source or self.default) if read else table_of(source)
        return TableData(table, sources.get("id_column"), read_from(source, self.default))

    def filled(
        self, content: dict[str, Any], data: TableData, place: Declaration
    ) -> dict[str, Any]:
        """Digest of the table; by default walk-forward where a time is named, else folds."""
        del place
        task = {**content["task"], "rows": data.digest}
        usual = "kfold" if task.get("time") is None else "walk_forward"
        return {**content, "task": task,
                "evaluation": {"protocol": usual, **content.get("evaluation", {})}}  # fmt: skip

    def check(self, spec: Any, data: Any, place: Declaration) -> None:  # noqa: ANN401
        """Columns are looked for when examples are made."""

    def shape(self, spec: Any, data: TableData) -> None:  # noqa: ANN401
        """Columns are known once they are prepared."""
        del spec, data

    def examples(self, spec: Any, data: TableData) -> Examples:  # noqa: ANN401
        """Windows, labels and parts, prepared inside each fold."""
        return table_examples(spec.task, spec.evaluation, data.table)

    def refit(self, spec: Any, data: TableData, share_pct: float) -> Refit:  # noqa: ANN401
        """All rows; the latest ones, or some at random, stop the training."""
        examples, learnt, kinds = refit_examples(spec.task, spec.evaluation, data.table, share_pct)
        settings, files = learnt.kept()
        return Refit(examples, {**settings, "inputs": kinds}, files)

    def unseen(
        self, spec: Any, data: TableData, prepared: Mapping[str, Any], files: Files  # noqa: ANN401
    ) -> Examples:  # fmt: skip
        """Rows with the inputs of the training, prepared as those were."""
        learnt = Preparation.opened(prepared, files)
        return unseen_examples(spec.task, data.table, learnt, prepared["inputs"], data.id_column)
