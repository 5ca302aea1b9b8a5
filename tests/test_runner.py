"""One runner: waves, ensembles, settings laid over, scripts without a main guard, hours."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import trueness
from tests.conftest import BASELINES
from tests.test_cli import call
from trueness.campaign import load_campaign
from trueness.errors import CampaignError, SpecError
from trueness.execute import Pool
from trueness.judge.captions import headline
from trueness.judge.leaderboard import leaderboard
from trueness.runner import run
from trueness.store import Store

ROWS = """\
campaign: rows
data: rows.csv
defaults:
  task: {kind: table, label: bad, cluster: who}
  evaluation: {protocol: kfold, n_folds: 2, alarms: [10]}
  recipe: {epochs: 2, batch_size: 64}
experiments:
"""
NETWORK = "{kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 1, stride: 1, revin: false}"


@pytest.fixture
def rows(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    bad = rng.random(400) < 1 / (1 + np.exp(2 - 2 * x[:, 0]))
    who = np.repeat(np.arange(100), 4)
    frame = pl.DataFrame({**{f"x{i}": x[:, i] for i in range(3)}, "who": who, "bad": bad})
    frame.write_csv(tmp_path / "rows.csv")

    def written(experiments):
        (tmp_path / "rows.yaml").write_text(ROWS + experiments)
        return tmp_path / "rows.yaml"

    return written


def test_an_ensemble_trains_what_nobody_declared_and_averages_its_logits(rows, tmp_path):
    file = rows(
        f"  - {{id: R-1, model: {NETWORK}}}\n  - {{id: R-2, ensemble: {{of: R-1, seeds: 3}}}}\n"
    )
    campaign, store = load_campaign(file), Store(tmp_path / "store")
    assert [e.id for e in campaign.experiments] == ["R-1", "R-1@43", "R-1@44", "R-2"]
    summary = run(campaign, store, device="cpu", workers=0)
    assert (summary.failed, summary.missing, len(summary.trained)) == ([], [], len(BASELINES) + 4)
    *members, whole = [store.run(e.spec.key).table() for e in campaign.experiments]
    mean = np.mean([one["score"].to_numpy() for one in members], axis=0)
    np.testing.assert_allclose(whole["score"], mean, rtol=0, atol=1e-6)
    assert whole["id"].equals(members[0]["id"])
    alone = campaign.select(["R-2"])
    assert [e.id for e in alone.experiments] == ["R-1", "R-1@43", "R-1@44", "R-2"]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{id: R-2, ensemble: {of: R-9, seeds: 2}}", "no_reference"),
        ("{id: R-2, ensemble: {of: R-2, seeds: 2}}", "no_reference"),
        ("{id: R-2, ensemble: {seeds: 2}}", "ensemble_fields"),
        ("{id: R-2, ensemble: {of: R-1, seeds: 0}}", "ensemble_fields"),
        ("{id: R-2, ensemble: {of: R-1, seed: 2}}", "ensemble_fields"),
        ("{id: R-2, ensemble: {of: R-1}}", "ensemble"),
        ("{id: R-2, ensemble: {of: R-1, seeds: 2}, seed: 9}", "ensemble_fields"),
    ],
)
def test_ensembles_that_cannot_be_are_refused(rows, entry, code):
    with pytest.raises(CampaignError) as caught:
        load_campaign(rows(f"  - {{id: R-1, model: {NETWORK}}}\n  - {entry}\n"))
    assert caught.value.code == code
    assert "rows.yaml:9" in str(caught.value)


def test_what_an_ensemble_is_made_of_fails_it_alone(rows, tmp_path):
    wild = NETWORK + ", recipe: {learning_rate: 1e30, epochs: 2}"
    file = rows(f"  - {{id: R-1, model: {wild}}}\n  - {{id: R-2, ensemble: {{of: R-1, seeds: 2}}}}\n"
                "  - {id: R-3, model: logit}\n")  # fmt: skip
    campaign, store = load_campaign(file), Store(tmp_path / "store")
    summary = run(campaign, store, device="cpu", workers=0)
    keys = {e.id: e.spec.key for e in campaign.experiments}
    assert set(summary.failed) == {keys[name] for name in ("R-1", "R-1@43", "R-2")}
    assert keys["R-3"] in store


def test_settings_are_laid_over_every_experiment(rows, tmp_path, capsys):
    file = rows(f"  - {{id: R-1, model: {NETWORK}}}\n")
    words = ("--set", "recipe.learning_rate=0.01", "--set", "model.d_ff=8", "--epochs", 1)
    status, out, _ = call(capsys, "list", file, *words, "--json")
    (row,) = json.loads(out)["rows"]
    assert status == 0
    assert (row["spec"]["recipe"]["learning_rate"], row["spec"]["recipe"]["epochs"]) == (0.01, 1)
    assert row["spec"]["model"]["d_ff"] == 8
    for wrong in (("recipe.epoch=1",), ("recipe.epochs=1", "--epochs", 1)):
        status, _, err = call(capsys, "list", file, "--set", *wrong)
        assert (status, len(err.strip().splitlines())) == (2, 1)
    with pytest.raises(CampaignError):
        load_campaign(file, settings={"model": {"d_model": 7}})


def test_a_run_from_python_answers_with_the_leaderboard(rows, tmp_path):
    file = rows("  - {id: R-1, model: {kind: boosting, max_trees: 20}}\n")
    frame = pl.read_csv(tmp_path / "rows.csv")
    answer = trueness.run(file, data=frame, store=tmp_path / "store", workers=0, progress=False)
    (group,) = answer.judgement.groups
    assert [m.name for m in group.candidates] == ["R-1"]
    assert group.n_candidates == 1
    again = trueness.run(file, store=tmp_path / "store", workers=0, progress=False)
    assert again.judgement.groups[0].candidates[0].key == group.candidates[0].key


SCRIPT = """\
import trueness
trueness.run("rows.yaml", store="store", workers=2, progress=False)
"""


@pytest.mark.processes
def test_a_script_without_a_main_guard_writes_nothing(rows, tmp_path):
    rows("  - {id: R-1, model: logit}\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "SpecError" in last
    assert "__main__" in last
    assert done.stderr.count("SpecError") == 2  # raised once, and told once
    assert not (tmp_path / "store").exists()
    guarded = SCRIPT.replace("trueness.run", 'if __name__ == "__main__":\n    trueness.run')
    (tmp_path / "script.py").write_text(guarded)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=240)
    assert Store(tmp_path / "store").all_runs()[1] == []


def test_a_pool_that_cannot_start_says_so():
    with Pool(1) as pool:
        pool.start()
        (worker,) = pool._workers
        worker.process.kill()
        with pytest.raises(SpecError) as caught:
            worker.wait_until_ready()
    assert caught.value.code == "no_worker"


def test_a_network_resumes_after_the_folds_that_are_done(rows, tmp_path, monkeypatch):
    from trueness.fit import fitting

    file = rows(f"  - {{id: R-1, model: {NETWORK}}}\n")
    file.write_text(file.read_text().replace("n_folds: 2", "n_folds: 4"))
    campaign, whole = load_campaign(file), Store(tmp_path / "whole")
    key = campaign.experiments[0].spec.key
    run(campaign, whole, device="cpu", workers=0)
    made, broken = [], Store(tmp_path / "store")
    true_stack = fitting.Stack

    def stack(examples, members, *rest):
        made.append([member.fold for member in members])
        if len(made) == 3:
            raise KeyboardInterrupt
        return true_stack(examples, members, *rest)

    monkeypatch.setattr(fitting, "Stack", stack)
    assert run(campaign, broken, device="cpu", workers=0).interrupted
    assert key not in broken
    kept = sorted(path.name for path in (broken.root / "checkpoints" / key).iterdir())
    assert kept == ["fold0.safetensors", "fold1.safetensors"]
    (broken.root / "checkpoints" / key / kept[1]).write_bytes(b"cut")  # is trained again
    assert run(campaign, broken, device="cpu", workers=0).trained == [key]
    assert made[3:] == [[1], [2], [3]]
    assert not (broken.root / "checkpoints" / key).exists()
    one, other = whole.run(key), broken.run(key)
    assert one.table().equals(other.table())
    assert one.history().equals(other.history())
    assert one.record["files"]["model.safetensors"] == other.record["files"]["model.safetensors"]


def test_a_dry_run_looks_for_own_code_beside_the_campaign_and_tries_it(
    rows, tmp_path, monkeypatch, capsys
):
    net = "class Net(torch.nn.Linear):\n    def __init__(self, n_features):\n        super().__init__(n_features, 1)\n"
    net += "    def forward(self, x):\n        return super().forward(x[:, -1]).squeeze(-1)\n"
    (tmp_path / "net.py").write_text("import torch\n\n" + net)
    file = rows('  - {id: R-1, model: {kind: module, of: "net.py:Net"}}\n')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call(capsys, "run", file, "--dry-run")[0] == 0
    file.write_text(file.read_text().replace("kind: module", "kind: estimator"))
    status, _, err = call(capsys, "run", file, "--dry-run")
    assert (status, len(err.strip().splitlines())) == (2, 1)
    assert "net.py:Net" in err


def test_a_leaderboard_says_what_its_candidates_are_chosen_on(rows, tmp_path):
    file = rows(f"  - {{id: R-1, model: {NETWORK}}}\n")
    answer = trueness.run(file, store=tmp_path / "store", workers=0, progress=False)
    (group,) = answer.judgement.groups
    assert group.rule.chosen_on == "inner validation"
    assert {m.run.spec.estimands.chosen_on for m in group.baselines} >= {"train"}


def test_an_unfinished_campaign_says_so_first_and_names_experiments_that_are_baselines(
    rows, tmp_path
):
    """R-1 is a baseline; R-2 counts once with its seeds, of which one is lacking at first."""
    file = rows("  - {id: R-1, model: logit}\n"
                "  - {id: R-2, model: {kind: forest, n_estimators: 5}}\n"
                "  - {id: R-3, model: {kind: forest, n_estimators: 6}}\n")  # fmt: skip
    campaign, store = load_campaign(file, seeds=2), Store(tmp_path / "store")
    run(campaign, store, device="cpu", workers=0)
    keys = {e.id: e.spec.key for e in campaign.experiments}
    assert len(set(keys.values())) > 3
    (group,) = leaderboard(store, campaign.name).groups
    assert group.pending is None
    assert [note.split()[0] for note in group.notes] == ["R-1"]
    store.remove(keys["R-2@43"])
    for some in (None, {e.spec.key for e in campaign.entries}):
        board = leaderboard(store, campaign.name, keys=some)
        (group,) = board.groups
        assert group.to_dict()["pending"] == {"stored": 1, "declared": 2}
        assert board.document().answer.startswith(str(group.pending))
        assert headline(group).startswith(str(group.pending))
    (of_one,) = leaderboard(store, campaign.name, keys={keys["R-3"]}).groups
    assert of_one.pending is None  # those that were asked for are there
    store.write_failure(campaign.experiments[list(keys).index("R-2@43")].spec, "no memory")
    assert leaderboard(store, campaign.name).groups[0].pending is None


def test_of_baselines_alone_nothing_is_judged_and_the_experiment_is_named(rows, tmp_path):
    campaign = load_campaign(rows("  - {id: R-1, model: logit}\n"))
    store = Store(tmp_path / "store")
    run(campaign, store, device="cpu", workers=0)
    (group,) = leaderboard(store, campaign.name).groups
    assert (group.candidates, group.verdict.leader) == ([], "")
    assert group.notes[0].startswith("R-1 ")
    assert group.notes[0] in headline(group)


@pytest.mark.parametrize("inputs", ["last", "window"])
def test_single_rows_make_one_candidate_of_every_rule_for_inputs(rows, inputs):
    file = rows(f"  - {{id: R-1, model: {{kind: logit, inputs: {inputs}}}}}\n")
    campaign = load_campaign(file)
    (spec,) = [entry.spec for entry in campaign.experiments]
    assert spec.key in {entry.spec.key for entry in campaign.baselines}
    assert spec.is_baseline
    file.write_text(file.read_text().replace("kind: logit", "kind: logit, C: 1.0"))
    assert not load_campaign(file).experiments[0].spec.is_baseline


def test_what_begins_with_nothing_is_refused_before_anything_runs(rows, tmp_path):
    file = rows("  - {id: R-1, model: {kind: ensemble, of: [0123456789ab, ba9876543210]}}\n")
    with pytest.raises(SpecError) as caught:
        run(load_campaign(file), Store(tmp_path / "store"), device="cpu", workers=0)
    assert caught.value.code == "no_source_run"
    assert not (tmp_path / "store").exists()


def test_only_an_ensemble_brings_the_seeds_that_nobody_declared(rows):
    file = rows(
        f"  - {{id: R-1, model: {NETWORK}}}\n  - {{id: R-2, ensemble: {{of: R-1, seeds: 3}}}}\n"
    )
    campaign = load_campaign(file)
    assert [e.id for e in campaign.select(["R-1"]).experiments] == ["R-1"]
    assert len(campaign.select(["R-2"]).experiments) == 4


def test_hours_are_refused_under_torchrun(rows, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SpecError) as caught:
        run(
            load_campaign(rows("  - {id: R-1, model: logit}\n")), Store(tmp_path / "s"), max_hours=1
        )
    assert caught.value.code == "torchrun"


def test_what_cannot_be_opened_is_refused_before_anything_trains(rows, tmp_path, capsys):
    file = rows("  - {id: R-1, model: logit}\n")
    status, _, err = call(capsys, "run", file, "--open-test", "--store", tmp_path / "store")
    assert (status, len(err.strip().splitlines())) == (2, 1)
    assert not (tmp_path / "store").exists()


def test_code_that_leaves_fails_its_run_alone():
    def work(item, report):
        if item == 1:
            raise SystemExit(0)
        return item

    with Pool(0) as pool:
        answers = dict(pool.map(work, [0, 1, 2]))
    assert (answers[0], answers[2]) == (0, 2)
    assert "SystemExit" in answers[1].reason


def test_an_answer_is_never_written_over_the_data(rows, tmp_path, capsys):
    file, before = rows("  - {id: R-1, model: logit}\n"), (tmp_path / "rows.csv").read_bytes()
    status, _, err = call(
        capsys, "run", file, "--csv", tmp_path / "rows.csv", "--store", tmp_path / "s"
    )
    assert (status, len(err.strip().splitlines())) == (2, 1)
    assert (tmp_path / "rows.csv").read_bytes() == before
    assert not (tmp_path / "s").exists()
