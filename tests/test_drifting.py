"""Drift of the columns of a bundle: what is kept, what is found, what is not taken for drift."""

import json

import numpy as np
import polars as pl
import pytest

from tests.test_cli import call
from trueness.api import run as run_api
from trueness.bundle.drifting import Drifts
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.format import open_bundle
from trueness.bundle.log import read_log
from trueness.bundle.monitoring import monitor
from trueness.bundle.predicting import load
from trueness.errors import StoreError
from trueness.evaluation.drift import Drift
from trueness.files import read_json, write_json
from trueness.market import synthetic_bars
from trueness.store import Store

CUT, ALL = 1500, 1800
BARS = synthetic_bars(ALL, seed=4)
CAMPAIGN = """\
campaign: watched
data: bars.csv
defaults:
  task: {context: 20, horizon: 2, tier: a50}
  evaluation: {protocol: walk_forward}
experiments:
  - {id: F, model: {kind: forest, n_estimators: 10}}
"""


def _wild(frame):
    """The same bars, whose prices move four times as far from the cut on."""
    close = frame["Close"].to_numpy()
    step = np.diff(np.log(close), prepend=np.log(close[0]))
    step[CUT:] *= 4
    moved = np.exp(np.log(close[0]) + np.cumsum(step))
    scale = moved / close
    wide = np.where(np.arange(len(close)) >= CUT, 4.0, 1.0)
    made = {"Close": moved, "Adj Close": moved}
    for name in ("Open", "High", "Low"):
        made[name] = moved * (frame[name].to_numpy() / close) ** wide
    assert np.isfinite(scale).all()
    return frame.with_columns(**{name: pl.Series(values) for name, values in made.items()})


@pytest.mark.parametrize(
    ("score", "features", "said"),
    [(0.03, (0.5, 0.5), ("The score has drifted", "none of the 2 watched features has;")),
     (0.3, (0.01, 0.5), ("The score has not drifted", "1 of the 2 watched features has: f0 (")),
     (0.3, (), ("The score has not drifted", "--data FILE")),
     (None, (0.5, 0.5), ("None of the 2 watched features has drifted;",))],
)  # fmt: skip
def test_what_drifted_is_called_by_its_kind(score, features, said):
    columns = [("score", score)] * (score is not None)
    columns += [(f"f{i}", p) for i, p in enumerate(features)]
    every = [Drift(name, 60, -1.35, 0.4, 12.0, 4.83, p, p) for name, p in columns]
    actual = Drifts(tuple(sorted(every, key=lambda one: one.p))).in_words()
    assert all(part in actual for part in said), actual
    assert len(actual.split("p = ")) - 1 == sum(p <= 0.05 or n == "score" for n, p in columns)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    BARS.head(CUT).frame().write_csv(folder / "bars.csv")
    BARS.frame().write_csv(folder / "longer.csv")
    _wild(BARS.frame()).write_csv(folder / "wild.csv")
    (folder / "watched.yaml").write_text(CAMPAIGN)
    run_api(
        folder / "watched.yaml", store=folder / "store", workers=0, device="cpu", progress=False
    )
    return folder


@pytest.fixture
def watched(folder, tmp_path):
    """A bundle that has predicted, and what monitoring says of its columns, by the bars it saw."""

    def made(name):
        out = tmp_path / name
        finalize_named(Store(folder / "store"), "F", {}, out, device="cpu")
        predictor = load(out)
        data = predictor.load({"data": folder / f"{name}.csv"})
        predictor.predict(data).logged()
        return predictor, monitor(predictor, data)

    return made


@pytest.mark.long
def test_a_market_that_goes_on_does_not_drift(watched):
    predictor, actual = watched("longer")
    kept = predictor.bundle.description["drift"]
    assert {one.name for one in actual.drifts.columns} == {*kept["features"], "score"}
    assert not actual.drifts.drifted
    assert len(kept["features"]) == len(predictor.bundle.description["ranges"])
    assert actual.drifts.columns[0].n == len(read_log(predictor.bundle).predictions)


@pytest.mark.long
def test_a_wilder_market_drifts(watched, folder, capsys):
    predictor, actual = watched("wild")
    names = {one.name for one in actual.drifts.drifted}
    assert names
    place = predictor.bundle.folder
    code, out, err = call(capsys, "monitor", place, "--data", folder / "wild.csv", "--json")
    assert code in (0, 1), err
    note = json.loads(out)["drift"]
    assert set(note["drifted"]) == names
    assert note["tested"] == len(note["columns"]) == len(actual.drifts.columns)
    assert [one["p"] for one in note["columns"]] == sorted(one["p"] for one in note["columns"])
    (table,) = [one for one in actual.document().tables() if "Drift" in one.title]
    assert table.rows[0][0] == note["columns"][0]["name"]


@pytest.mark.long
def test_without_bars_the_score_alone_is_watched(watched):
    predictor, _ = watched("longer")
    actual = monitor(predictor)
    assert [one.name for one in actual.drifts.columns] == ["score"]


@pytest.mark.long
def test_a_bundle_that_keeps_nothing_says_nothing_of_drift(watched, folder):
    predictor, _ = watched("longer")
    place = predictor.bundle.folder
    description = read_json(place / "bundle.json")
    del description["drift"]
    write_json(place / "bundle.json", description)
    again = load(place)
    actual = monitor(again, again.load({"data": folder / "longer.csv"}))
    assert actual.drifts is None
    assert actual.to_dict()["drift"] is None


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [lambda one: one["knots"].pop(), lambda one: one["shift"]["squares"].pop(),
     lambda one: one["spread"]["skews"].pop(), lambda one: one.update(times=3),
     lambda one: one["spread"]["squares"].__setitem__(0, -1.0), lambda one: one.pop("shift")],
)  # fmt: skip
def test_a_damaged_reference_is_refused(watched, change):
    predictor, _ = watched("longer")
    place = predictor.bundle.folder
    description = read_json(place / "bundle.json")
    change(next(iter(description["drift"]["features"].values())))
    write_json(place / "bundle.json", description)
    with pytest.raises(StoreError) as caught:
        open_bundle(place)
    assert caught.value.code == "damaged"
