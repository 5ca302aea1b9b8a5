"""Searches and dry runs on titles: trials, pruning by epochs, what follows, cost told beforehand."""

import json

import optuna
import pytest
import torch

from tests.test_cli import call
from trueness.campaign import load_campaign
from trueness.engines import Setting
from trueness.errors import DataError, TruenessError
from trueness.fit import choose_device
from trueness.models.encoder import build_titles
from trueness.models.measuring import saved_bytes
from trueness.models.titles_counts import BYTES_A_WEIGHT, titles_training_bytes
from trueness.plan import measured_rate, plan, size_text
from trueness.runner import run
from trueness.search import load_search
from trueness.search.follow_up import promoted, ranked, write_follow_up
from trueness.search.stored import find_study, study_of
from trueness.search.studies import file_url, open_storage, open_study
from trueness.search.trainer import Objective, Trainer
from trueness.search.transfer import transferred
from trueness.search.trials import search_trials
from trueness.spec.titles import Encoder
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.synthetic import Catalogue

SPACE = """\
search: rates
title: Rate and depth
data: corpus
space:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 600}, max_tokens: 24}
  model: {kind: encoder, d_model: 16, n_layers: {one_of: [1, 2]}, n_heads: 2, n_kv_heads: 2,
          d_ff: 24, head: {kind: plain}}
  recipe: {learning_rate: {one_of: [0.003, 0.01]}, batch_size: 64, epochs: 2, warmup_steps: 2,
           precision: float32}
  evaluation: {min_rows: 20, draws: 100}
"""
CAMPAIGN = """\
campaign: one
title: One
data: corpus
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 600}, max_tokens: 24}
  model: {kind: encoder, d_model: 16, n_layers: 1, n_heads: 2, n_kv_heads: 2, d_ff: 24,
          head: {kind: plain}}
  recipe: {batch_size: 32, epochs: 2, warmup_steps: 2, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
  - {id: A, priority: P1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, a space and a campaign on it; read only."""
    folder = tmp_path_factory.mktemp("search")
    source = Catalogue(rows=700, english_share=0.6)
    build(source, folder / "corpus", Plan(validation=0.2, test=0.2, threshold=None))
    (folder / "space.yaml").write_text(SPACE)
    (folder / "one.yaml").write_text(CAMPAIGN)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path_factory.getbasetemp() / "search-cache"))


def _searched(folder, root, goal, trials, pruner=None):
    search, store = load_search(folder / "space.yaml"), Store(root)
    store.prepare()
    study = open_study(search, goal.names, open_storage(file_url(root / "search.sqlite3")),
                       sampler="random", seed=1, about={"seeds": 1}, pruner=pruner)  # fmt: skip
    trainer = Trainer(search, store, goal, device="cpu", workers=0, prunes=pruner is not None)
    return search_trials(search, study, trainer, trials=trials), study, store


@pytest.fixture(scope="module")
def searched(folder):
    """Three trials, and the store that they are in; read only."""
    root = folder / "store"
    root.mkdir()
    return _searched(folder, root, Objective("worst_group"), 3)


# ----------------------------------------------------------------------------------------- search


@pytest.mark.long
def test_trials_are_stored_runs_valued_by_the_estimate_on_validation(searched):
    outcome, study, store = searched
    assert (outcome.done, outcome.failed) == (3, 0)
    for trial in study.completed():
        (key,) = trial.user_attrs["run"]["keys"]
        run = store.run(key)
        assert run.record["slices"]["validation"]["scores"] == run.record["estimates"]
        assert trial.values == [run.record["estimates"]["worst_group"]["value"]]
        assert trial.params["model.n_layers"] == run.spec.model.n_layers
    kinds = {run.spec.model.kind for run in store.all_runs()[0]}
    assert kinds == {"encoder", "majority", "tfidf_logit", "tfidf_svm", "vectors"}


def test_what_picks_the_epoch_is_searched_for_by_default(folder):
    search = load_search(folder / "space.yaml")
    assert Objective.of(None, 0.6, search.spec(search.any_valid())).names == ("mean_group",)


@pytest.mark.long
def test_a_study_on_titles_is_analysed_and_its_best_promoted(folder, searched, tmp_path):
    _, _, store = searched
    stored = find_study(open_storage(file_url(store.root / "search.sqlite3")), "rates")
    study = study_of(stored, store)
    assert (study.measure, study.kind) == ("macro-F1 of the worst language", "slices")
    rows = ranked(stored, store)
    lows = [row.runs[0].record["estimates"]["worst_group"]["low"] for row in rows]
    assert lows == sorted(lows, reverse=True)
    chosen = promoted([stored], store, count=2, seeds=2)
    assert [one.id for one in chosen] == ["best-01", "best-02"]
    assert {spec.seed for one in chosen for spec in one.specs} == {43, 44}
    write_follow_up(tmp_path / "more.yaml", "more", "More", [stored], chosen)  # reads it back
    assert len(load_campaign(tmp_path / "more.yaml").experiments) == 4
    for wrong in (lambda: ranked(stored, store, "auc"), lambda: transferred([stored] * 2, store)):
        with pytest.raises(DataError) as caught:
            wrong()
        assert caught.value.code == "objective"


@pytest.mark.long
def test_a_pruned_trial_ends_after_its_epoch_and_leaves_nothing(folder, tmp_path):
    never = optuna.pruners.ThresholdPruner(lower=2.0)  # no score reaches it
    goal = Objective("mean_group")
    outcome, study, store = _searched(folder, tmp_path, goal, 3, never)
    forced = [t for t in study.completed() if "forced" in t.user_attrs]
    assert (outcome.done, outcome.pruned) == (len(forced), 3 - len(forced))
    assert outcome.pruned > 0
    pruned = study.study.get_trials(states=(optuna.trial.TrialState.PRUNED,))
    assert [list(trial.intermediate_values) for trial in pruned] == [[1]] * outcome.pruned
    assert not any(trial.user_attrs["key"] in store for trial in pruned)
    assert list(tmp_path.glob("checkpoints/*")) == []
    for trial in study.completed():
        history = store.run(trial.user_attrs["key"]).history()
        assert list(trial.intermediate_values.values()) == history["mean_group"].to_list()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--objective", "auc"), "objective"),
        (("--recipe", "published"), None),
        (("--budget", "2M"), None),
        (("--tier", "a50"), None),
        (("--vix", "x.csv"), "no_source"),
    ],
)
def test_what_only_bars_have_is_refused_in_one_line(folder, tmp_path, capsys, options, code):
    status, out, err = call(capsys, "search", "run", folder / "space.yaml", *options,
                            "--store", tmp_path / "store")  # fmt: skip
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "store").exists()
    if code == "objective":
        search = load_search(folder / "space.yaml")
        with pytest.raises(TruenessError) as caught:
            Objective.of("auc", 0.6, search.spec(search.any_valid()))
        assert caught.value.code == code


def test_a_recipe_by_name_is_refused_for_titles_everywhere(folder):
    with pytest.raises(TruenessError) as caught:
        load_campaign(folder / "one.yaml", recipe="published")
    assert caught.value.code == "no_recipe"


# ---------------------------------------------------------------------------------------- dry run


@pytest.mark.parametrize("tokens", [5, 12])
def test_memory_of_a_batch_is_what_torch_saves_on_the_device(tokens):
    model = Encoder(kind="encoder", d_model=16, n_layers=2, n_heads=2, d_ff=24)
    module = build_titles(model, 300, 4, torch.Generator()).train()

    def passed(rows):
        ids = torch.zeros(rows, tokens, dtype=torch.int64)
        return saved_bytes(lambda: module(ids, torch.ones_like(ids, dtype=torch.bool)))

    none, some = (titles_training_bytes(model, 300, 4, rows=n, tokens=tokens) for n in (0, 7))
    assert none == BYTES_A_WEIGHT * sum(p.numel() for p in module.parameters())
    assert some - none == passed(9) - passed(2)
    averaged = titles_training_bytes(model, 300, 4, rows=0, tokens=tokens, averaged=True)
    assert averaged - none == 4 * sum(p.numel() for p in module.parameters())


@pytest.mark.long
def test_work_and_time_are_told_before_and_come_true(folder, tmp_path, capsys):
    campaign, store = load_campaign(folder / "one.yaml"), Store(tmp_path / "store")
    setting = Setting(choose_device("cpu"), store.root)
    before = plan(campaign, store).size(setting, 1)
    assert before["hours_at_most"] is before["hours_expected"] is None
    assert "time known after the first" in size_text(before)
    run(campaign, store, device="cpu", workers=0)
    made = store.run(campaign.experiments[0].spec.key)
    record = made.record
    assert record["padded"] == pytest.approx(made.history()["padded"].mean())
    status, out, _ = call(capsys, "show", made.key, "--store", store.root)
    assert status == 0
    assert f"{record['gflop'] / record['seconds']:,.0f} GFLOP/s" in " ".join(out.split())
    assert before["gflop_expected"] == pytest.approx(record["gflop"], rel=0.02)  # two epochs
    assert before["gflop_expected"] < before["gflop_at_most"]
    assert before["memory_bytes"] > BYTES_A_WEIGHT * record["parameters"]
    assert measured_rate(store, "encoder", "cpu") == record["gflop"] / record["seconds"]
    assert measured_rate(store, "encoder", "cuda") is measured_rate(store, "stack", "cpu") is None
    more = load_campaign(folder / "one.yaml", seeds=3)
    after = plan(more, store).size(setting, 1)
    wanted = 2 * before["gflop_expected"] / record["gflop"] * record["seconds"] / 3600
    assert after["hours_expected"] == pytest.approx(wanted, abs=0.0011)
    capsys.readouterr()
    status, out, _ = call(capsys, "run", folder / "one.yaml", "--seeds", 3, "--dry-run", "--json",
                          "--store", tmp_path / "store")  # fmt: skip
    shown = json.loads(out)["size"]
    assert status == 0
    assert shown["gflop_expected"] == pytest.approx(2 * before["gflop_expected"], rel=0.02)
