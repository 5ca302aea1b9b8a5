"""Runs survive new data: stored weights score new bars, old scores stay, only new folds train."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_cli import call
from trueness.callback import Callback
from trueness.campaign import load_campaign
from trueness.engines.continued import kept_folds
from trueness.errors import CampaignError
from trueness.fit import Member, choose_device, fit_stack
from trueness.fit.inherited import completed
from trueness.market import market_examples, synthetic_bars
from trueness.market.bars import Volatility
from trueness.market.continuing import Earlier
from trueness.market.data import MarketData
from trueness.market.own_features import load_own
from trueness.market.panel import Panel
from trueness.runner import run
from trueness.spec.task import MarketTask
from trueness.store import Store
from trueness.store.ledger import Ledger, earlier_keys

OLD = 1250
LAYER = "head.weight"
BARS = synthetic_bars(2000)
CAMPAIGN = """\
campaign: growing
defaults:
  task: {context: 20, horizon: 3}
  evaluation: {protocol: walk_forward}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}
  recipe: {epochs: 2, batch_size: 64, learning_rate: 1e-3, precision: float32}
experiments:
  - {id: G-1}
  - {id: G-2, model: logit}
  - {id: G-3, ensemble: {of: G-1, seeds: 2}}
"""


class NoteCallback(Callback):
    """Collects notes, and epochs as work that networks took."""

    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A campaign whose runs on the shorter bars are stored."""
    folder = tmp_path_factory.mktemp("growing")
    (folder / "growing.yaml").write_text(CAMPAIGN)
    carried(folder, OLD, baselines=True)
    return folder


def bars_of(folder, rows, bars=BARS):
    file = folder / f"bars-{rows}.csv"
    bars.head(rows).frame().write_csv(file)
    return file


def carried(folder, rows, update=False, bars=BARS, baselines=False):
    """Campaign, store, summary and notes of a run on so many bars."""
    store, callback = Store(folder / "store"), NoteCallback()
    campaign = load_campaign(
        folder / "growing.yaml", data=bars_of(folder, rows, bars),
        store=store, update=update,
    )  # fmt: skip
    if not baselines:
        campaign = replace(campaign, baselines=())
    summary = run(campaign, store, device="cpu", workers=0, callback=callback, update=update)
    assert summary.failed == []
    return campaign, store, summary, callback.notes


def spec_of(campaign, id_):
    return next(e.spec for e in campaign.entries if e.id == id_)


def scores(store, spec, columns=("score", "score_last")):
    table = store.run(spec.key).table()
    return table.select("fold", "split", "id", "y", *columns).sort("fold", "split", "id")


def unchanged(store, old, new, columns=("score", "score_last")):
    """Whether every row of an old run stands in a new one, to the bit."""
    before, after = scores(store, old, columns), scores(store, new, columns)
    keys = ["fold", "split", "id", "y"]
    kept = before.select(keys).join(after, on=keys, how="left", maintain_order="left")
    return all(
        np.array_equal(before[c].to_numpy().view(np.uint32), kept[c].to_numpy().view(np.uint32))
        for c in columns
    )  # fmt: skip


# ---------------------------------------------------------------------------------- new bars alone


@pytest.mark.long
@pytest.mark.parametrize(("new", "trained"), [(1, []), (20, []), (500, [3, 4])])
def test_new_bars_train_only_folds_without_a_counterpart(folder, new, trained):
    old = load_campaign(folder / "growing.yaml", data=bars_of(folder, OLD))
    campaign, store, summary, notes = carried(folder, OLD + new, update=True)
    before, after = spec_of(old, "G-1"), spec_of(campaign, "G-1")
    assert after.key in summary.trained
    assert after.evaluation == before.evaluation
    run_before, run_after = store.run(before.key), store.run(after.key)
    record = run_after.record
    assert record["trained_folds"] == trained
    assert before.key in earlier_keys(run_after)
    assert sum("6 folds of networks with stored weights" in note for note in notes) == 1
    assert unchanged(store, before, after)
    extra = len(scores(store, after)) - len(scores(store, before))
    assert extra >= new
    assert run_after.table()["score"].is_finite().all()
    weights, stored = run_after.parameters(), run_before.parameters()
    assert {f for f in range(5) if f"fold{f}.{LAYER}" in weights} == {0, 1, 2, *trained}
    assert all(np.array_equal(weights[name], stored[name]) for name in stored)
    assert (record["gflop"] > 0) == bool(trained)
    assert record["last_epochs"][:3] == run_before.record["last_epochs"]


@pytest.mark.long
def test_only_folds_with_the_same_training_and_validation_units_are_kept(folder, without):
    campaign = load_campaign(folder / "growing.yaml", data=bars_of(folder, OLD))
    store, spec = Store(folder / "store"), spec_of(campaign, "G-1")
    stored = store.run(spec.key)
    examples = market_examples(spec.task, spec.evaluation, campaign.data)
    assert kept_folds(stored, examples) == {0: 0, 1: 1, 2: 2}
    for part in ("train", "validation"):
        y = examples.y.copy()
        y[examples.members(part, 2)[-1]] ^= 1  # in no other fold's training
        first = kept_folds(stored, without(examples, y=y))
        assert first == {0: 0, 1: 1}
    parts = examples.parts.copy()
    parts[1][examples.members("train", 1)[0]] = 0
    assert kept_folds(stored, without(examples, parts=parts)) == {0: 0, 2: 2}
    swapped = kept_folds(stored, without(examples, parts=examples.parts[[2, 0]]))
    assert swapped == {0: 2, 1: 0}
    assert kept_folds(stored, without(examples, features=("other", *examples.features[1:]))) == {}
    assert kept_folds(store.run(spec_of(campaign, "G-2").key), examples) == {}


@pytest.mark.long
def test_groups_that_move_with_the_last_day_train_again(tmp_path):
    text = CAMPAIGN.replace("walk_forward", "purged_kfold").split("  - {id: G-2")[0]
    (tmp_path / "growing.yaml").write_text(text)
    first, store, _, _ = carried(tmp_path, OLD)
    campaign, _, _, _ = carried(tmp_path, OLD + 20, update=True)
    record = store.run(spec_of(campaign, "G-1").key).record
    assert record["continues"] == spec_of(first, "G-1").key
    assert record["trained_folds"] == [0, 1, 2, 3, 4]


def test_a_dry_run_says_what_an_update_would_do(tmp_path, capsys):
    (tmp_path / "growing.yaml").write_text(CAMPAIGN)
    carried(tmp_path, OLD)
    words = ("run", tmp_path / "growing.yaml", "--data", bars_of(tmp_path, OLD + 20), "--dry-run")
    code, _, err = call(capsys, *words, "--update", "--store", tmp_path / "store")
    assert code == 0
    assert "6 folds of networks with stored weights, 0 to be trained" in " ".join(err.split())
    assert len(Store(tmp_path / "store").all_runs()[0]) == 4


@pytest.mark.long
def test_old_out_of_fold_scores_of_estimators_and_ensembles_come_out_equal(folder):
    old = load_campaign(folder / "growing.yaml", data=bars_of(folder, OLD))
    campaign, store, _, _ = carried(folder, OLD + 20, update=True, baselines=True)
    ids = [e.id for e in old.entries]
    assert ids == [e.id for e in campaign.entries]
    for id_ in ids:
        before, after = spec_of(old, id_), spec_of(campaign, id_)
        assert before.key != after.key
        assert unchanged(store, before, after), id_
        assert before.key in earlier_keys(store.run(after.key))


@pytest.mark.long
def test_stored_weights_give_the_scores_that_training_from_nothing_gives(folder, tmp_path):
    """Folds up to the old end are the same networks, so new days have the same scores."""
    campaign, store, _, _ = carried(folder, OLD + 20, update=True)
    (tmp_path / "growing.yaml").write_text(CAMPAIGN)
    fresh, other, _, _ = carried(tmp_path, OLD + 20)
    spec = spec_of(campaign, "G-1")
    assert spec_of(fresh, "G-1") == spec
    a, b = scores(store, spec, ["score"]), scores(other, spec, ["score"])
    assert a.drop("score").equals(b.drop("score"))
    np.testing.assert_allclose(a["score"], b["score"], rtol=0, atol=1e-5)
    assert store.run(spec.key).record["estimates"]["auc"]["value"] == pytest.approx(
        other.run(spec.key).record["estimates"]["auc"]["value"]
    )


@pytest.mark.long
def test_a_second_update_finds_nothing_to_do(folder):
    carried(folder, OLD + 20, update=True)
    _, _, summary, notes = carried(folder, OLD + 20, update=True)
    assert summary.trained == []
    assert notes == []


# ------------------------------------------------------------------------------ without the option


@pytest.mark.long
def test_without_it_the_runs_are_told_of_and_trained(tmp_path):
    (tmp_path / "growing.yaml").write_text(CAMPAIGN)
    old, _, _, notes = carried(tmp_path, OLD)
    assert not any("--update" in note for note in notes)
    campaign, store, _, notes = carried(tmp_path, OLD + 20)
    (message,) = (note for note in notes if "--update" in note)
    assert message.startswith(
        f"4 of the 4 runs to be made exist for the bars up to {old.data.panel.last}"
    )
    record = store.run(spec_of(campaign, "G-1").key).record
    assert "continues" not in record
    assert "trained_folds" not in record
    assert record["gflop"] > 0


# ------------------------------------------------------------------------------------------- dates


@pytest.mark.long
def test_open_dates_stay_as_they_were_first(tmp_path):
    text = CAMPAIGN.replace("walk_forward", "holdout").split("  - {id: G-3")[0]
    (tmp_path / "growing.yaml").write_text(text)
    first, store, _, _ = carried(tmp_path, OLD)
    dates = spec_of(first, "G-1").evaluation
    moved = load_campaign(tmp_path / "growing.yaml", data=bars_of(tmp_path, OLD + 300))
    assert spec_of(moved, "G-1").evaluation != dates
    for rows in (OLD + 1, OLD + 300):
        campaign, _, _, _ = carried(tmp_path, rows, update=True)
        spec = spec_of(campaign, "G-1")
        record = store.run(spec.key).record
        assert spec.evaluation == dates
        assert record["trained_folds"] == []
        assert record["data"]["dated"] == str(first.data.panel.last)
        assert any("chosen on the validation units" in note for note in record["notes"])
        assert unchanged(store, spec_of(first, "G-1"), spec)
    parts = store.run(spec.key).table()["split"].value_counts()
    assert dict(parts.iter_rows())["test"] > 300  # the new bars are test days
    offered = carried(tmp_path, OLD + 200)[3]  # dates of its own; the runs are found all the same
    assert any("--update" in note for note in offered)


@pytest.mark.long
def test_after_an_update_every_verb_finds_its_runs(tmp_path, capsys):
    """Dates that were left open are those of the runs on these data, not those of their end."""
    text = CAMPAIGN.replace("walk_forward", "holdout").split("  - {id: G-3")[0]
    (tmp_path / "growing.yaml").write_text(text)
    carried(tmp_path, OLD)
    _, store, summary, _ = carried(tmp_path, OLD + 300, update=True)
    assert len(summary.trained) == 2
    plain = load_campaign(tmp_path / "growing.yaml", data=bars_of(tmp_path, OLD + 300), store=store)
    assert {entry.spec.key for entry in plain.entries} >= set(summary.trained)
    for verb in ("status", "tracker"):
        code, out, err = call(capsys, verb, tmp_path / "growing.yaml", "--data",
                              tmp_path / f"bars-{OLD + 300}.csv", "--store", store.root,
                              "--json")  # fmt: skip
        assert code == 0, err
        assert summary.trained[0] in out or '"done": 2' in out
    _, _, again, notes = carried(tmp_path, OLD + 300)
    assert (again.trained, len(again.reused), notes) == ([], 2, [])
    _, _, other, _ = carried(tmp_path, OLD + 301)  # longer still: dates of its end
    assert len(other.trained) == 2


@pytest.mark.long
def test_a_dry_run_offers_the_update(tmp_path, capsys):
    (tmp_path / "growing.yaml").write_text(CAMPAIGN.split("  - {id: G-2")[0])
    carried(tmp_path, OLD)
    words = ("run", tmp_path / "growing.yaml", "--data", bars_of(tmp_path, OLD + 20), "--dry-run",
             "--store", tmp_path / "store")  # fmt: skip
    code, _, err = call(capsys, *words)
    assert (code, err.count("--update")) == (0, 1)
    code, _, err = call(capsys, *words, "--update")
    notes = [line for line in err.splitlines() if line.startswith("note:")]
    assert code == 0
    assert len(notes) == 1
    assert "continued" in notes[0]


@pytest.mark.long
def test_validation_that_grows_keeps_the_weights(tmp_path):
    text = CAMPAIGN.replace(
        "{protocol: walk_forward}",
        "{protocol: holdout, val_start: 1994-01-03, test_start: 2001-01-01}",
    ).split("  - {id: G-2")[0]
    (tmp_path / "growing.yaml").write_text(text)
    first, store, _, _ = carried(tmp_path, OLD)
    campaign, _, _, _ = carried(tmp_path, OLD + 20, update=True)
    before, after = spec_of(first, "G-1"), spec_of(campaign, "G-1")
    n = [len(scores(store, one).filter(pl.col("split") == "validation")) for one in (before, after)]
    assert n[1] == n[0] + 20
    assert store.run(after.key).record["trained_folds"] == []
    assert unchanged(store, before, after)


# ------------------------------------------------------------------------------------------ ledger


@pytest.mark.long
def test_looks_before_and_after_an_update_are_counted_together(tmp_path, capsys):
    (tmp_path / "growing.yaml").write_text(CAMPAIGN)
    words = ("--store", tmp_path / "store")

    def ran(rows, *more):
        code, _, err = call(capsys, "run", tmp_path / "growing.yaml", "--data",
                            bars_of(tmp_path, rows), "--workers", 0, *more, *words)  # fmt: skip
        assert code == 0, err

    def access(campaign="growing"):
        code, out, _ = call(capsys, "leaderboard", campaign, "--json", *words)
        assert code == 0
        groups = [group["access"] for group in json.loads(out)["groups"]]
        assert len({one["data"] for one in groups}) == 1
        return groups[0]

    ran(OLD)
    store = Store(tmp_path / "store")
    first = access()
    assert first["data"] == BARS.lineage
    assert (first["times"], first["n_candidates"]) == (1, 2)
    assert access() == first  # the same table again
    assert len(Ledger(store).accesses()) == 3  # which is written down all the same
    ran(OLD + 1, "--update")
    assert access() == {**first, "times": 3}  # that of the new days, and the table of both
    gone = [run for run in store.all_runs()[0] if not earlier_keys(run)]
    for run_ in gone:
        store.remove(run_.key)
    assert access()["n_candidates"] == 2
    code, _, _ = call(capsys, "leaderboard", "growing", "--sort", "auc", *words)
    assert code == 0
    ran(OLD + 2, "--update")
    one = access()
    assert (one["data"], one["n_candidates"]) == (BARS.lineage, 2)


# ------------------------------------------------------------------------------------------ panels


@pytest.mark.long
def test_a_panel_goes_on_where_each_of_its_series_does(tmp_path):
    """Series end on different days; the one that ends first gets its days later."""
    other = synthetic_bars(1400, seed=3)
    text = CAMPAIGN.split("  - {id: G-2")[0] + "data: bars\n"
    (tmp_path / "growing.yaml").write_text(text)
    (tmp_path / "bars").mkdir()

    def made(first, second, update):
        BARS.head(first).frame().write_csv(tmp_path / "bars" / "a.csv")
        other.head(second).frame().write_csv(tmp_path / "bars" / "b.csv")
        store = Store(tmp_path / "store")
        campaign = load_campaign(tmp_path / "growing.yaml", store=store, update=update)
        campaign = replace(campaign, baselines=())
        assert run(campaign, store, device="cpu", workers=0, update=update).failed == []
        return store, spec_of(campaign, "G-1")

    store, old = made(OLD, OLD - 30, update=False)
    _, new = made(OLD + 5, OLD + 5, update=True)
    record = store.run(new.key).record
    assert (record["continues"], record["trained_folds"]) == (old.key, [])
    assert record["data"]["lengths"] == {"a": OLD + 5, "b": OLD + 5}
    assert unchanged(store, old, new)
    assert len(scores(store, new)) == len(scores(store, old)) + 5 + 35
    _, revised = made(OLD + 6, OLD - 31, update=True)  # one of them lost a bar
    assert "continues" not in store.run(revised.key).record


# ------------------------------------------------------------------------------- what cannot go on


@pytest.mark.long
def test_revised_history_is_told_and_trained(tmp_path, without):
    (tmp_path / "growing.yaml").write_text(CAMPAIGN.split("  - {id: G-2")[0])
    carried(tmp_path, OLD)
    factor = BARS.factor.copy()
    factor[:600] *= 0.99
    campaign, store, summary, notes = carried(
        tmp_path, OLD + 20, update=True, bars=without(BARS, factor=factor)
    )
    (message,) = (note for note in notes if "cannot be continued" in note)
    assert "revised" in message
    assert len(summary.trained) == 1
    record = store.run(spec_of(campaign, "G-1").key).record
    assert "continues" not in record
    assert record["gflop"] > 0


def test_weights_that_do_not_give_the_known_scores_are_not_kept(noise_examples, make_spec, without):
    device = choose_device("cpu")
    spec = make_spec(recipe={"epochs": 1})
    (fitted,) = fit_stack(noise_examples, [spec], device)
    whole = fitted.folds[1]
    part = whole.logit.copy()
    new = noise_examples.members("oof", 1)[-10:]
    part[new] = np.nan
    fold, member = replace(whole, logit=part, inherited=True), Member(spec, 1)
    actual = completed(fold, member, noise_examples, device)
    np.testing.assert_allclose(actual.logit, whole.logit, atol=1e-5)
    assert np.array_equal(np.delete(actual.logit, new), np.delete(whole.logit, new), equal_nan=True)
    revised = without(noise_examples, series=noise_examples.series[:, ::-1].copy())
    assert completed(fold, member, revised, device) is None
    (again,) = fit_stack(revised, [spec], device, inherited={member: fold})
    assert [one.inherited for one in again.folds] == [False, False]
    (kept,) = fit_stack(noise_examples, [spec], device, inherited={member: fold})
    assert [one.inherited for one in kept.folds] == [False, True]


@pytest.mark.long
def test_what_else_columns_are_made_from_has_to_go_on_too(tmp_path):
    bars, old = Panel((BARS,)), Panel((BARS.head(OLD),))
    vix = Volatility("vix", BARS.dates, 20 + np.sin(np.arange(len(BARS))))
    features = pl.DataFrame({"Date": BARS.dates, "mine": np.cos(np.arange(len(BARS)))})
    before = MarketData(old, vix.head(OLD), load_own(features, old))
    task = MarketTask(kind="market", bars=old.digest, volatility=before.volatility.digest,
                      features=before.own.digest)  # fmt: skip
    stored = SimpleNamespace(spec=SimpleNamespace(task=task), record={"data": before.origin()})
    (earlier,) = Earlier.of([stored, stored])
    now = MarketData(bars, vix, load_own(features, bars))
    assert earlier.why_not(now) == ""
    other = replace(vix, close=vix.close + (np.arange(len(BARS)) == 3))
    revised = features.with_columns(pl.col("mine") + 1.0)
    reasons = [
        earlier.why_not(replace(now, volatility=other)),
        earlier.why_not(replace(now, volatility=None)),
        earlier.why_not(replace(now, own=load_own(revised, bars))),
        earlier.why_not(replace(now, own=None)),
        earlier.why_not(replace(now, panel=Panel((BARS.head(OLD - 1),)))),
        earlier.why_not(replace(now, panel=Panel((BARS, replace(BARS, name="other"))))),
    ]
    assert all(reasons)
    assert len(set(reasons)) == 4


LABELS = """\
import polars as pl


def build(bars):
    close = pl.col("Close")
    return bars.select(
        mine=(close / close.shift(5) - 1).fill_null(0.0),
        up3=(close.shift(-3) / close > 1.005).cast(pl.Float64),
    )
"""


@pytest.mark.long
@pytest.mark.parametrize("source", ["mine.csv", "mine.py:build"])
def test_labels_that_become_known_later_are_no_revision(tmp_path, source):
    """The last three labels are missing in the shorter file; a function's labels look ahead."""
    text = CAMPAIGN.split("  - {id: G-2")[0].replace(
        "task: {context: 20, horizon: 3}",
        "task: {context: 20, horizon: 3, tier: own, target: {column: up3}}",
    )
    (tmp_path / "growing.yaml").write_text(f"features: {source}\n{text}")
    (tmp_path / "mine.py").write_text(LABELS)

    def known(rows, revise=0.0):
        bars = BARS.head(rows).adjusted().frame()
        close = pl.col("Close")
        bars.select(
            "Date", mine=(close / close.shift(5) - 1).fill_null(0.0) + revise,
            up3=(close.shift(-3) / close > 1.005).cast(pl.Float64),
        ).write_csv(tmp_path / "mine.csv")  # fmt: skip

    known(OLD)
    first, store, _, _ = carried(tmp_path, OLD)
    known(OLD + 20)
    campaign, store, summary, _ = carried(tmp_path, OLD + 20, update=True)
    before, after = spec_of(first, "G-1"), spec_of(campaign, "G-1")
    assert summary.trained == [after.key]
    record = store.run(after.key).record
    assert (record["continues"], record["trained_folds"]) == (before.key, [])
    assert unchanged(store, before, after)
    assert len(scores(store, after)) == len(scores(store, before)) + 20
    if source == "mine.csv":  # what is put in is compared to the last bit
        known(OLD + 40, revise=1e-12)
        _, _, _, notes = carried(tmp_path, OLD + 40, update=True)
        assert any("own features before that differ" in note for note in notes)


@given(st.integers(300, 1999), st.integers(0, 299), st.sampled_from(["close", "factor", "volume"]))
def test_longer_bars_continue_their_beginning_and_no_other(rows, changed, column):
    data = MarketData(Panel((replace(BARS.head(rows), name="renamed"),)))
    task = MarketTask(kind="market", bars=data.digest)
    (earlier,) = Earlier.of(
        [SimpleNamespace(spec=SimpleNamespace(task=task), record={"data": data.origin()})]
    )
    assert earlier.why_not(MarketData(Panel((BARS,)))) == ""
    values = getattr(BARS, column).copy()
    values[changed] = np.nextafter(values[changed], np.inf)
    assert earlier.why_not(MarketData(Panel((replace(BARS, **{column: values}),)))) != ""


def test_an_update_of_nothing_trains(tmp_path):
    (tmp_path / "growing.yaml").write_text(CAMPAIGN.split("  - {id: G-2")[0])
    campaign, store, summary, notes = carried(tmp_path, OLD, update=True)
    assert len(summary.trained) == 1
    assert any("no stored run" in note for note in notes)
    assert "continues" not in store.run(spec_of(campaign, "G-1").key).record


def test_data_without_time_cannot_be_updated(tmp_path, capsys):
    code, _, err = call(capsys, "run", "table-demo", "--update", "--store", tmp_path / "store")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert not (tmp_path / "store").exists()
    with pytest.raises(CampaignError) as caught:
        load_campaign("table-demo", store=Store(tmp_path / "store"), update=True)
    assert caught.value.code == "no_update"
