"""Pruning: the hooks of the stack and of the workers, what a study remembers, where it is refused."""

import json
import os

import numpy as np
import optuna
import pytest

from tests.test_cli import call
from tests.test_search import PLANTED, SMALL, cheap, planted
from trueness.errors import SpecError
from trueness.execute import Pool, Question
from trueness.fit import Device, fit_stack
from trueness.market import synthetic_bars
from trueness.search import (
    Objective,
    Trainer,
    find_study,
    load_search,
    make_pruner,
    open_storage,
    open_study,
    search_trials,
    study_of,
)
from trueness.search.pruning import KEPT_OF, START_UP, WARM_UP, epoch_judge, safe_epochs
from trueness.search.trials import Result
from trueness.store import Store

CPU = Device("cpu", has_bf16=False)
PRUNED, COMPLETE = optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.COMPLETE
LONG = SMALL.replace("epochs: 2", "epochs: 8, patience: 8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pruning")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "planted.yaml").write_text(PLANTED)
    (folder / "long.yaml").write_text(LONG)
    return folder


# ------------------------------------------------------------------------------------------- hooks


def test_a_pruned_member_has_no_result_and_the_others_are_as_if_alone(noise_examples, make_spec):
    specs = [make_spec(seed=n, recipe={"epochs": 5, "patience": 5}) for n in (1, 2)]
    asked, note = [], []

    def prune(member, row):
        asked.append((member.spec.seed, member.fold, int(row["epoch"])))
        return member.spec.seed == 1 and row["epoch"] == 2

    given_up, whole = fit_stack(noise_examples, specs, CPU, note.append, prune=prune)
    assert (given_up.pruned, given_up.folds, given_up.failure) == (True, [], None)
    assert not whole.pruned
    assert sorted(a for a in asked if a[0] == 1) == [(1, f, e) for f in (0, 1) for e in (1, 2)]
    assert sorted(a for a in asked if a[0] == 2) == [(2, f, e) for f in (0, 1) for e in range(1, 6)]
    assert sum(note) == 20  # epochs that are not needed count as done
    (alone,) = fit_stack(noise_examples, specs[1:], CPU)
    for a, b in zip(alone.folds, whole.folds, strict=True):
        np.testing.assert_allclose(a.logit, b.logit, atol=1e-5)


def test_nothing_is_pruned_after_its_last_epoch(noise_examples, make_spec):
    one = make_spec(recipe={"epochs": 2})
    (fitted,) = fit_stack(noise_examples, [one], CPU, prune=lambda m, row: row["epoch"] == 2)
    assert not fitted.pruned
    assert len(fitted.folds) == 2


def doubled(item, report):
    report("a remark")
    return report(Question(item)), report(Question(item + 1)), os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_wait_for_the_answer_to_a_question(workers):
    def answer(position, event):
        return 2 * event.content if isinstance(event, Question) else None

    with Pool(workers) as pool:
        answers = dict(pool.map(doubled, [1, 10, 100], answer))
    assert {i: a[:2] for i, a in answers.items()} == {0: (2, 4), 1: (20, 22), 2: (200, 202)}


# ------------------------------------------------------------------------------------------- rules


def curves(numbers, epochs=60):
    """AUC of each trial after each epoch: trial n rises to n hundredths above a half."""
    rise = 1 - np.exp(-np.arange(1, epochs + 1) / 10)
    return {n: 0.5 + n / 100 * rise for n in numbers}


def followed(judge, key, curve):
    """Epoch after which the judge ends a curve, None if never."""
    return next((e for e, v in enumerate(curve, 1) if judge(key, {"epoch": e, "val_auc": v})), None)


def studied(kind, heights, forced=()):
    """Epochs at which trials of these heights are pruned, one after another."""
    study = optuna.create_study(direction="maximize", pruner=_pruner(kind))
    ends = []
    for number, curve in enumerate(curves(heights).values()):
        trial = study.ask()
        if number in forced:
            trial.set_user_attr("forced", "min_d_model")
        ends.append(followed(epoch_judge({"k": trial}, "auc"), "k", curve))
        if ends[-1] is None:
            study.tell(trial, float(curve[-1]))
        else:
            study.tell(trial, state=PRUNED)
    return ends, study


def _pruner(kind):
    return make_pruner(kind, _Holdout())


class _Holdout:
    """A search under one split."""

    class space:
        leaves = staticmethod(list)

    def any_valid(self):
        return {}

    def trains_networks(self):
        return True

    def spec(self, parameters):
        recipe, rule = type("R", (), {"epochs": 60}), type("E", (), {"protocol": "holdout"})
        return type("S", (), {"evaluation": rule, "recipe": recipe})


def test_the_median_ends_what_lies_below_half_of_the_finished_trials():
    rising = [10, 11, 12, 13, 14]
    ends, study = studied("median", [*rising, 11.5, 12.5, 1])
    assert ends == [None] * START_UP + [WARM_UP, None, WARM_UP]
    pruned = study.get_trials(states=(PRUNED,))
    assert [len(t.intermediate_values) for t in pruned] == [WARM_UP, WARM_UP]
    assert pruned[0].value == pruned[0].intermediate_values[WARM_UP]


def test_halving_keeps_a_third_at_each_rung_by_hand():
    heights = [10, 9, 8, 11, 12, 7, 13]
    ends, _ = studied("halving", heights)
    rungs, expected = {}, []
    for height in heights:
        end, rung = None, 0
        while WARM_UP * KEPT_OF**rung <= 60:
            seen = rungs.setdefault(rung, [])
            seen.append(height)
            if height < sorted(seen)[-max(1, len(seen) // KEPT_OF)]:
                end = WARM_UP * KEPT_OF**rung
                break
            rung += 1
        expected.append(end)
    assert ends == expected
    assert any(end is None for end in ends)
    assert any(end is not None for end in ends)


@pytest.mark.parametrize("kind", ["median", "halving"])
def test_forced_extremes_are_never_ended_but_the_others_see_them(kind):
    ends, study = studied(kind, [20, 19, 18, 17, 16, 15, 1], forced=range(6))
    assert ends[:6] == [None] * 6
    assert ends[6] == WARM_UP
    assert all(len(t.intermediate_values) == 60 for t in study.get_trials(states=(COMPLETE,)))


def test_epochs_that_are_told_again_change_nothing():
    study = optuna.create_study(direction="maximize", pruner=_pruner("median"))
    trial = study.ask()
    judge = epoch_judge({"k": trial}, "auc")
    for epoch, value in ((1, 0.6), (2, 0.7), (1, 0.6), (2, 0.7), (3, float("nan")), (3, 0.8)):
        assert judge("k", {"epoch": epoch, "val_auc": value}) is False
    study.tell(trial, 0.8)
    assert study.trials[0].intermediate_values == {1: 0.6, 2: 0.7, 3: 0.8}


# ------------------------------------------------------------------------------------- real searches


@pytest.mark.long
def test_a_pruned_trial_is_no_run_counts_as_tried_and_the_sampler_sees_it(folder, tmp_path):
    search, store = load_search(folder / "long.yaml"), Store(tmp_path / "store")
    opened = open_study(
        search, ("auc",), open_storage(f"sqlite:///{tmp_path / 's.sqlite3'}"),
        pruner=make_pruner("median", search),
    )  # fmt: skip
    trainer = Trainer(search, store, Objective(), device="cpu", workers=0, prunes=True)
    outcome = search_trials(search, opened, trainer, trials=14)
    done, pruned = opened.completed(), opened.trials(PRUNED)
    assert outcome.pruned == len(pruned) > 0
    assert outcome.done == len(done) == 14 - len(pruned)
    assert outcome.failed == 0
    for trial in pruned:
        assert trial.user_attrs["key"] not in store
        assert "forced" not in trial.user_attrs
        assert max(trial.intermediate_values) >= safe_epochs(8)
        assert trial.value == trial.intermediate_values[max(trial.intermediate_values)]
    for trial in done:
        history = store.run(trial.user_attrs["key"]).history()
        note = dict(zip(history["epoch"], history["val_auc"], strict=True))
        assert trial.intermediate_values == pytest.approx(note)
    assert store.failures() == {}
    assert {t.user_attrs["key"] for t in done}.isdisjoint(t.user_attrs["key"] for t in pruned)
    assert opened.study.best_trial.state == COMPLETE
    again = search_trials(search, opened, trainer, trials=14)
    assert (again.done, again.pruned) == (0, 0)
    actual = find_study(opened.storage, search.name)
    assert f"{len(pruned)} trials pruned" in " ".join(study_of(actual, store).notes)


@pytest.mark.slow
def test_pruning_from_the_command_line_asks_across_processes(folder, tmp_path, capsys):
    status, out, err = call(
        capsys, "search", "run", folder / "long.yaml", "--trials", 14, "--prune", "halving",
        "--store", tmp_path / "store", "--workers", 2, "--json",
    )  # fmt: skip
    report = json.loads(out)
    assert status == 0, err
    assert report["pruned"] > 0
    assert report["trials"] + report["pruned"] == 14
    assert len(Store(tmp_path / "store").campaigns()["small"]) >= 14
    assert err.count(" pruned") == report["pruned"]


@pytest.mark.slow
def test_the_sampler_learns_from_pruned_trials(folder, tmp_path):
    """A planted optimum is found although most of what lies far from it is pruned."""

    def carry_out(proposals):
        results = []
        for one in proposals:
            value = planted(one.parameters)
            judge = epoch_judge({"k": one.trial}, "auc")
            end = followed(judge, "k", [value - 1 / e for e in range(1, 20)])
            results.append(Result((value,)) if end is None else Result(pruned=True))
        return results

    search = load_search(folder / "planted.yaml")
    best = {}
    for name, evaluate in (("pruned", carry_out), ("whole", cheap)):
        opened = open_study(
            search, ("auc",), open_storage(f"sqlite:///{tmp_path / f'{name}.sqlite3'}"),
            pruner=make_pruner("median", search),
        )  # fmt: skip
        outcome = search_trials(search, opened, evaluate, trials=40)
        best[name] = opened.study.best_value
    assert outcome.pruned == 0
    assert best["pruned"] > -0.6
    assert best["whole"] > -0.6


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.long
def test_pruning_is_refused_where_it_would_bias(folder, tmp_path, capsys):
    for options, match in (
        (("--protocol", "walk_forward"), "would bias pooled estimates"),
        (("--objective", "precision"), "compares a score of epochs"),
        (("--objective", "both"), "compares a score of epochs"),
        (("--seeds", 2), "bias their mean"),
    ):
        status, out, err = call(
            capsys, "search", "run", folder / "planted.yaml", "--store", tmp_path / "store",
            "--prune", "median", *options,
        )  # fmt: skip
        assert (status, out) == (2, ""), options
        assert match in err, (options, err)
        assert len(err.strip().splitlines()) == 1, err
        assert not (tmp_path / "store").exists()


@pytest.mark.long
def test_an_open_protocol_is_not_pruned(folder):
    text = PLANTED.replace(
        "protocol: holdout, val_start: 1993-03-01",
        "protocol: holdout, val_start: {one_of: ['1993-03-01', '1993-04-01']}",
    )
    (folder / "open.yaml").write_text(text)
    with pytest.raises(SpecError, match="would bias"):
        make_pruner("median", load_search(folder / "open.yaml"))
