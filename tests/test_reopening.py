"""A run opens again what it was made on, whatever that was called."""

import json

import pytest

import trueness
from tests.test_cli import call
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.payoff import payoff
from trueness.errors import TruenessError
from trueness.market import synthetic_bars
from trueness.store import Store
from trueness.table import bundled

CAMPAIGN = """\
campaign: again
data: {data}
defaults:
  task: {{columns: [return_1d, atr_pct]}}
  evaluation: {{protocol: walk_forward, block_years: 8}}
experiments:
  - {{id: F, model: {{kind: forest, n_estimators: 10}}}}
"""
TABLE = """\
campaign: again
data: {data}
defaults:
  task: {{kind: table, label: admitted_next_year, cluster: person, categories: [plan, site]}}
  evaluation: {{protocol: kfold, n_folds: 3}}
experiments:
  - {{id: F, model: {{kind: forest, n_estimators: 10}}}}
"""


def _run(folder, named, content=CAMPAIGN, **how):
    (folder / "again.yaml").write_text(content.format(data=named))
    trueness.run(folder / "again.yaml", store=folder / "store", workers=0, device="cpu",
                 progress=False, **how)  # fmt: skip
    return Store(folder / "store")


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """The store of a campaign on synthetic bars; read only."""
    return _run(tmp_path_factory.mktemp("synthetic"), "synthetic")


@pytest.mark.long
@pytest.mark.parametrize("words", [("payoff",), ("importance", "--repeats", 1)])
def test_synthetic_bars_are_made_again(synthetic, capsys, words):
    code, out, err = call(capsys, words[0], "F", "--store", synthetic.root, "--json", *words[1:])
    assert (code, bool(json.loads(out))) == (0, True), err


@pytest.mark.long
def test_a_bundle_on_synthetic_bars_is_fitted_and_paid_without_data(synthetic, tmp_path, capsys):
    made = finalize_named(synthetic, "F", {}, tmp_path / "b", device="cpu")
    assert made.bundle.description["data"]["source"] == "synthetic"
    said = trueness.load(tmp_path / "b").predict("synthetic", since="2004-01-01").to_frame()
    bars = synthetic_bars(4000).frame()
    assert trueness.load(tmp_path / "b").predict(bars, since="2004-01-01").to_frame().equals(said)


@pytest.mark.long
def test_files_of_a_panel_are_opened_again(tmp_path):
    (tmp_path / "series").mkdir()
    for i in range(2):
        synthetic_bars(900, seed=i).frame().write_csv(tmp_path / "series" / f"S{i}.csv")
    store = _run(tmp_path, "series")
    assert payoff(store, "F", {}).alarms["group"].n_unique() <= 2
    assert finalize_named(store, "F", {}, tmp_path / "b", device="cpu").bundle.members


@pytest.mark.long
def test_a_list_of_files_is_opened_again(tmp_path):
    for i in range(2):
        synthetic_bars(900, seed=i).frame().write_csv(tmp_path / f"S{i}.csv")
    store = _run(tmp_path, "[S0.csv, S1.csv]")
    assert payoff(store, "F", {}).every_day.n


@pytest.mark.long
def test_data_that_no_file_holds_are_asked_for(tmp_path):
    bars = synthetic_bars(900)
    store = _run(tmp_path, "synthetic", data=bars.frame())
    for asked in (lambda sources: payoff(store, "F", sources),
                  lambda sources: finalize_named(store, "F", sources, tmp_path / "b", device="cpu")):  # fmt: skip
        with pytest.raises(TruenessError) as caught:
            asked({})
        assert caught.value.code == "no_data"
        assert asked({"data": bars.frame()})


def test_a_table_is_opened_again(tmp_path):
    bundled().head(3000).write_csv(tmp_path / "rows.csv")
    store = _run(tmp_path, "rows.csv", TABLE)
    assert finalize_named(store, "F", {}, tmp_path / "b", device="cpu").bundle.members
