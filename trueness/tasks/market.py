"""Bars of one series or of a panel, and an event in the bars that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from trueness.document.numbers import plural
from trueness.errors import DataError, about, nearest
from trueness.examples import Examples
from trueness.market import feature_names, load_volatility, market_examples, resolve_evaluation
from trueness.market.continuing import Earlier
from trueness.market.data import MarketData
from trueness.market.indicators import CATALOGUE, WITH_INDEX, tier_rows
from trueness.market.inputs import chosen_own, chosen_rows
from trueness.market.own_features import OwnFeatures, load_own
from trueness.market.panel import load_panel
from trueness.market.windows import check_target, refit_examples, unseen_examples
from trueness.spec.task import OWN_TIER
from trueness.tasks import Declaration, Files, Refit, binary, read_from
from trueness.yamlfile import Reader


class Market:
    """See `trueness.tasks.Task`."""

    kind: ClassVar[str] = "market"
    sources: ClassVar[dict[str, str]] = {
        "bars": "data", "volatility": "vix", "features": "features",
    }  # fmt: skip
    default: ClassVar[str] = "sp500"
    tabular: ClassVar[bool] = False
    earlier = staticmethod(Earlier.of)
    baselines = staticmethod(binary.baselines)
    examples_key = staticmethod(binary.examples_key)
    counts = staticmethod(binary.counts)

    def load(
        self,
        sources: Mapping[str, Any],
        needed: bool = True,
        callback: Any = None,  # noqa: ANN401
    ) -> MarketData:
        """Read bars, volatility index and own features."""
        del needed, callback
        vix, own = sources.get("vix"), sources.get("features")
        data = sources.get("data")
        with about("data"):
            panel = load_panel(self.default if data is None else data)
        with about("vix"):
            volatility = None if vix is None else load_volatility(vix)
        with about("features"):
            base_folder = sources.get("base_folder", Path())
            features = None if own is None else load_own(own, panel, base_folder)
        if features is not None:
            features = replace(features, labels=frozenset(sources.get("labels", ())))
        return MarketData(panel, volatility, features, source=read_from(data, self.default))

    def filled(
        self, content: dict[str, Any], data: MarketData, place: Declaration
    ) -> dict[str, Any]:
        """Digests of the data, what a bar is, columns of a tier file, dates left open."""
        if "bar" in content["task"]:
            raise place.fail(("task", "bar"), "task.bar is what the bars are; leave it out")
        task = {**content["task"], "bars": data.digest, "bar": data.panel.spacing.bar}
        task |= _tier(task.get("tier"), place)
        if data.volatility is not None and _reads_volatility(task):
            task["volatility"] = data.volatility.digest
        if data.own is not None:
            task["features"] = data.own.digest
            if task.get("columns") is None:
                task.setdefault("own", data.own.inputs)
        evaluation = {"protocol": "holdout", **content.get("evaluation", {})}
        evaluation = resolve_evaluation(evaluation, data.panel.first, data.until)
        return {**content, "task": task, "evaluation": evaluation}

    def check(self, spec: Any, data: MarketData, place: Declaration) -> None:  # noqa: ANN401
        """Refuse a tier or a column that does not exist, and what looks ahead."""
        task, own = spec.task, data.own
        try:
            chosen_rows(task, own.names if own else ())
        except DataError as error:
            raise place.fail(("task", "tier"), f"task.tier: {error}") from None
        if task.columns is None and task.tier.endswith(WITH_INDEX) and data.volatility is None:
            raise place.fail(
                ("task", "tier"), f"task.tier: {task.tier} reads a volatility index; give one as "
                "`vix:` or --vix", "no_volatility",
            )  # fmt: skip
        if task.tier == OWN_TIER and task.columns is None and not chosen_own(task, own):
            raise place.fail(
                ("task", "tier"), "task.tier: own takes own features alone; give some as "
                "`features:` or --features", "no_features",
            )  # fmt: skip
        self._check_own(task, own, place)
        self._check_columns(spec, data, place)
        self._check_target(task, data, place)
        ahead = [name for name in chosen_own(task, own) if own and name in own.looks_ahead]
        if own and ahead and not task.allow_lookahead:
            rows = ", ".join(
                f"{name} ({plural(own.looks_ahead[name], 'bar')})" for name in ahead[:5]
            )
            raise place.fail(
                ("task",), f"own features look ahead: {rows} change when later bars are taken "
                "away; mend them, or set task.allow_lookahead: true, which every table then says",
                "look_ahead",
            )  # fmt: skip

    def _check_own(self, task: Any, own: OwnFeatures | None, place: Declaration) -> None:  # noqa: ANN401
        """Refuse own features that do not exist, and a label among the inputs."""
        unknown = [name for name in task.own or () if own is None or name not in own.names]
        if unknown:
            raise place.fail(
                ("task", "own"), f"task.own: no own feature {unknown[0]!r}", "no_features"
            )
        label = getattr(task.target, "column", None)
        if label is not None and label in chosen_own(task, own):
            raise place.fail(
                ("task",), f"{label} is the label and an input; leave it out of the inputs",
                "label_input",
            )  # fmt: skip
        reach = own.looks_ahead.get(label, 0) if own and label is not None else 0
        if reach > task.horizon:
            raise place.fail(
                ("task", "horizon"), f"task.horizon: {label} looks {plural(reach, 'bar')} ahead, "
                f"horizon says {task.horizon}; labels that overlap the next part would stay in",
                "horizon",
            )  # fmt: skip
        rows = [] if task.columns is None else chosen_rows(task, own.names if own else ())
        blind = [row.name for row in rows if "volatility" in row.needs]
        if blind and task.volatility is None:
            raise place.fail(
                ("task", "columns"), f"task.columns: {blind[0]} reads a volatility index; give one "
                "as `vix:` or --vix", "no_volatility",
            )  # fmt: skip

    def _check_columns(self, spec: Any, data: MarketData, place: Declaration) -> None:  # noqa: ANN401
        """Refuse a model or a recipe that reads a column which is no input."""
        if not spec.columns_read:
            return
        inputs = feature_names(spec.task, data)
        for path, name in spec.columns_read:
            if name not in inputs:
                raise place.fail(
                    path, f"{'.'.join(path)}: {name} is no input of {spec.task.inputs}; "
                    f"{nearest(name, list(inputs))}", "no_column",
                )  # fmt: skip

    def _check_target(self, task: Any, data: MarketData, place: Declaration) -> None:  # noqa: ANN401
        try:
            check_target(task, data)
        except DataError as error:
            if error.code in ("labels", "frequent_event"):
                raise place.fail(("task", "target"), f"task.target: {error}", error.code) from None
            # bars too short for a label are told with the columns that need more

    def shape(self, spec: Any, data: MarketData) -> tuple[int, int]:  # noqa: ANN401
        """Columns of a window and its rows."""
        return len(feature_names(spec.task, data)), spec.task.context

    def examples(self, spec: Any, data: MarketData) -> Examples:  # noqa: ANN401
        """Windows, labels and parts."""
        return market_examples(spec.task, spec.evaluation, data)

    def refit(self, spec: Any, data: MarketData, share_pct: float) -> Refit:  # noqa: ANN401
        """All windows with a label; the latest times stop the training."""
        return Refit(refit_examples(spec.task, spec.evaluation, data, share_pct))

    def unseen(
        self, spec: Any, data: MarketData, prepared: Mapping[str, Any], files: Files  # noqa: ANN401
    ) -> Examples:  # fmt: skip
        """All windows, also those without a label yet."""
        del prepared, files
        return unseen_examples(spec.task, data)


def _reads_volatility(task: dict[str, Any]) -> bool:
    """Whether a column needs the volatility index; yes where names are wrong, which others tell."""
    names, tier = task.get("columns"), task.get("tier", "a20")
    if names is not None and isinstance(names, list | tuple):
        return any("volatility" in CATALOGUE[n].needs for n in names if n in CATALOGUE)
    try:
        rows = [] if tier == OWN_TIER else tier_rows(tier)
    except (DataError, TypeError, AttributeError):
        return True
    return any("volatility" in row.needs for row in rows)


def _tier(tier: Any, place: Declaration) -> dict[str, Any]:  # noqa: ANN401 - whatever a file holds
    """Name and columns of a tier file; nothing for the name of a tier."""
    if not isinstance(tier, str) or not tier.endswith((".yaml", ".yml")):
        return {}
    sibling = place.file.parent / tier
    path = sibling if sibling.is_file() else Path(tier)
    content = Reader(path).part_of_root() if path.is_file() else {}
    columns, name = content.get("columns"), content.get("tier")
    if not isinstance(columns, list) or not isinstance(name, str):
        raise place.fail(
            ("task", "tier"),
            f"task.tier: {tier} is not a tier file; `trueness features reduce` makes one",
        )
    return {"tier": name, "columns": columns}
