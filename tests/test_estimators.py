"""Models that are fitted to columns: one contract over all, baselines, inputs, and bad input."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trueness.baselines import FITS, check_estimator, columns_of, fit_estimator
from trueness.baselines.inputs import RULES
from trueness.errors import DataError, TruenessError
from trueness.evaluation import roc_auc
from trueness.examples import PARTS, Examples
from trueness.spec import Spec
from trueness.spec.estimator import BASELINES, PENALTIES, Boosting, Forest, Logit, default_baselines

KINDS = [model.kind for model in default_baselines()]
BOOSTERS = ("lightgbm", "xgboost", "catboost")
FEW = {"max_trees": 30}
MODELS = {
    **{kind: {"kind": kind} for kind in KINDS},
    "forest.tuned": {"kind": "forest", "n_estimators": 40, "max_features": 0.5, "inputs": "last"},
    "boosting.tuned": {"kind": "boosting", "learning_rate": 0.1, "max_features": 0.5, **FEW},
    "logit.tuned": {"kind": "logit", "C": 0.1},
    "lightgbm": {"kind": "lightgbm", "subsample": 0.7, **FEW},
    "lightgbm.plain": {"kind": "lightgbm", **FEW},
    "xgboost.plain": {"kind": "xgboost", **FEW},
    "xgboost": {"kind": "xgboost", "subsample": 0.7, **FEW},
    "catboost": {"kind": "catboost", **FEW},
    "sgd": {"kind": "estimator", "of": "sklearn.linear_model.SGDClassifier", "params": {"alpha": 1.0}},
    "bayes": {"kind": "estimator", "of": "sklearn.naive_bayes.GaussianNB", "inputs": "last"},
    "trees": {"kind": "estimator", "of": "sklearn.ensemble.ExtraTreesClassifier",
              "params": {"n_estimators": 20, "min_samples_leaf": 5}},
    "lgbm": {"kind": "estimator", "of": "lightgbm.LGBMClassifier", "params": {"n_estimators": 20, "verbosity": -1}},
    "xgb": {"kind": "estimator", "of": "xgboost.XGBClassifier", "params": {"n_estimators": 20}},
    "cat": {"kind": "estimator", "of": "catboost.CatBoostClassifier", "params": {"n_estimators": 20}},
}  # fmt: skip
"""One of every kind, and what people bring along."""


def _auc(examples, fit, fold=1):
    rows = examples.members("oof", fold)
    return roc_auc(examples.y[rows], fit.logits[fold, rows].astype(float))


# ------------------------------------------------------------------------- a contract over all of them


def test_every_kind_has_a_fit_and_a_model_here():
    assert {model["kind"] for model in MODELS.values()} == set(FITS)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # lightgbm's own wrapper
@pytest.mark.parametrize("name", MODELS)
def test_scores_exactly_the_examples_that_play_and_repeats(noise_examples, model_spec, name, tmp_path, monkeypatch, capfd):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    spec = model_spec(MODELS[name])
    check_estimator(noise_examples, spec)
    one, two = (fit_estimator(noise_examples, spec) for _ in range(2))
    np.testing.assert_array_equal(one.logits, two.logits)
    np.testing.assert_array_equal(np.isfinite(one.logits), noise_examples.parts > 0)
    assert len(one.chosen) == 2
    assert list(tmp_path.iterdir()) == []  # some packages write files where they are
    assert capfd.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", [name for name in MODELS if name != "base_rate"])
def test_finds_a_planted_signal(noise_examples, model_spec, name):
    fit = fit_estimator(noise_examples, model_spec(MODELS[name]))
    assert _auc(noise_examples, fit) > 0.8
    scores = fit.logits[1, noise_examples.members("oof", 1)]  # rises with the planted column
    last = noise_examples.x[noise_examples.start, -1, 0][noise_examples.members("oof", 1)]
    assert np.corrcoef(scores, last)[0, 1] > 0.4


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", MODELS)
def test_only_the_parts_that_may_be_read_are_read(noise_examples, model_spec, name):
    """Labels of the predicted part change nothing, those of validation only what chooses there."""
    spec = model_spec(MODELS[name])
    first = fit_estimator(noise_examples, spec).logits[1]
    for part, may in (("oof", False), ("validation", spec.model.validates), ("train", True)):
        y = noise_examples.y.copy()
        rows = noise_examples.members(part, 1)
        y[rows] = np.roll(1 - y[rows], 7)
        again = fit_estimator(dataclasses.replace(noise_examples, y=y), spec).logits[1]
        if not may:
            np.testing.assert_array_equal(first, again)
        elif part == "train":
            assert not np.array_equal(first, again, equal_nan=True)
    chosen_on = spec.estimands.chosen_on
    assert chosen_on == ("validation" if spec.model.validates else "train")


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", MODELS)
def test_the_seed_is_part_of_the_key_exactly_if_it_is_read(noise_examples, model_spec, name):
    one, two = (model_spec(MODELS[name], seed=seed) for seed in (42, 7))
    fits = [fit_estimator(noise_examples, spec).logits for spec in (one, two)]
    assert (one.key == two.key) == (not one.model.seeded)
    differ = not np.array_equal(*fits, equal_nan=True)
    reads = {"forest", "forest.tuned", "boosting.tuned", *BOOSTERS, "sgd", "trees", "cat"}
    assert differ == (name in reads)
    assert one.model.seeded or not differ


@pytest.mark.parametrize("name", [*BOOSTERS, "boosting"])
def test_boosting_is_cut_at_the_lowest_validation_loss(noise_examples, model_spec, name):
    """Fewer trees allowed than wanted, all are taken; more, the same number as before."""
    model = {"kind": name, "learning_rate": 0.3}
    fits = [
        fit_estimator(noise_examples, model_spec({**model, "max_trees": n})) for n in (3, 120, 150)
    ]
    trees = [[int(text.split()[0]) for text in fit.chosen] for fit in fits]
    assert trees[0] == [3, 3]
    assert trees[1] == trees[2]
    assert max(trees[1]) < 120
    np.testing.assert_array_equal(fits[1].logits, fits[2].logits)
    held = noise_examples.members("validation", 1)
    y = noise_examples.y[held].astype(float)
    losses = []
    for cut in (trees[1][1] - 1, trees[1][1], trees[1][1] + 1):
        logits = fit_estimator(noise_examples, model_spec({**model, "max_trees": cut})).logits[
            1, held
        ]
        losses.append(float(np.mean(np.logaddexp(0, logits) - y * logits)))
    assert min(losses) == pytest.approx(losses[1], abs=1e-6)


# ------------------------------------------------------------------------------------------ baselines


@pytest.mark.parametrize("kind", KINDS)
def test_a_baseline_is_one_only_as_it_is(model_spec, kind):
    """Every field that is changed makes a candidate with a key of its own."""
    shape = next(
        one for one in BASELINES if one.model_fields["kind"].annotation.__args__ == (kind,)
    )
    plain = model_spec(kind)
    assert plain.is_baseline
    written_out = json.loads(plain.model_dump_json())
    assert Spec.model_validate(written_out).key == plain.key
    assert json.loads(plain.canonical_json())["model"] == {"kind": kind}
    other = {"inputs": "last", "C": 0.1, "n_estimators": 7, "min_samples_leaf": 7, "max_features": 0.5,
             "learning_rate": 0.1, "max_leaf_nodes": 7, "l2": 2.0, "max_trees": 7}  # fmt: skip
    keys = {plain.key}
    for field in set(shape.model_fields) - {"kind"}:
        value = other.get(field) or 2 * shape.model_fields[field].default
        changed = model_spec({"kind": kind, field: value})
        assert not changed.is_baseline
        assert f"{field} {value:.3g}" in changed.label() if field != "inputs" else True
        keys.add(changed.key)
    assert len(keys) == len(shape.model_fields)


def test_choices_are_those_that_are_made(noise_examples, model_spec):
    known = {
        "base_rate": 1,
        "one_feature": 1,
        "logit": len(PENALTIES),
        "forest": 1,
        "boosting": 200,
    }
    assert {model.kind: model.choices for model in default_baselines()}.items() >= known.items()
    assert Logit(kind="logit", C=1.0).choices == 1
    assert not Logit(kind="logit", C=1.0).validates
    assert Boosting(kind="boosting", max_trees=7).choices == 7
    fit = fit_estimator(noise_examples, model_spec({"kind": "logit", "C": 0.3}))
    assert fit.chosen == ["C=0.3", "C=0.3"]


def test_base_rate_is_the_training_share(noise_examples, model_spec):
    fit = fit_estimator(noise_examples, model_spec("base_rate"))
    for fold in (0, 1):
        share = noise_examples.y[noise_examples.members("train", fold)].mean()
        scores = fit.logits[fold][np.isfinite(fit.logits[fold])]
        np.testing.assert_allclose(1 / (1 + np.exp(-scores)), share, rtol=1e-5)


def test_one_feature_takes_the_right_column_with_the_right_sign(noise_examples, model_spec):
    fit = fit_estimator(noise_examples, model_spec("one_feature"))
    assert fit.chosen == ["high a", "high a"]
    turned = dataclasses.replace(
        noise_examples, series=noise_examples.series * np.float32([-1, 1, 1, 1])
    )
    again = fit_estimator(turned, model_spec("one_feature"))
    assert again.chosen == ["low a", "low a"]
    assert _auc(turned, again) == pytest.approx(_auc(noise_examples, fit))


def test_a_forest_is_the_forest_of_scikit_learn(noise_examples, model_spec):
    from sklearn.ensemble import RandomForestClassifier

    model = Forest(kind="forest", n_estimators=25, min_samples_leaf=9, max_features=0.4)
    fit = fit_estimator(noise_examples, model_spec(model, seed=5))
    x, _ = columns_of(noise_examples, "summary", noise_examples.start)
    train = noise_examples.members("train", 1)
    theirs = RandomForestClassifier(25, min_samples_leaf=9, max_features=0.4, random_state=5)
    p = theirs.fit(x[train], noise_examples.y[train]).predict_proba(x)[:, 1].clip(1e-4, 1 - 1e-4)
    present = noise_examples.parts[1] > 0
    np.testing.assert_allclose(fit.logits[1, present], np.log(p / (1 - p))[present], rtol=1e-5)


# ---------------------------------------------------------------------------------------------- inputs


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_rules_of_inputs(context, width, n, seed):
    """Every rule is a function of the window alone, and its names say what its columns hold."""
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((n + context - 1, width)).astype(np.float32)
    names = tuple("abcd"[:width])
    examples = Examples(
        series, np.arange(n), context, np.zeros(n, np.uint8), np.arange(n).astype("M8[D]"),
        np.full(n, ""), np.ones((1, n), np.int8), names,
    )  # fmt: skip
    order = rng.permutation(n)
    for rule in RULES:
        x, columns = columns_of(examples, rule, examples.start[order])
        assert x.shape == (n, len(columns))
        assert len(set(columns)) == len(columns)
        assert columns[:width] == names
        for i, start in enumerate(examples.start[order]):
            window = dict(zip(names, series[start : start + context].astype(float).T, strict=True))
            for value, column in zip(x[i], columns, strict=True):
                assert value == pytest.approx(_meaning(window, column), abs=1e-6)
    assert columns_of(examples, "window", examples.start)[0].shape[1] == context * width
    if context == 1:
        assert len({columns_of(examples, rule, examples.start)[1] for rule in RULES}) == 1


def _meaning(window, column):
    """Value of a column by its name."""
    if column.startswith("mean of "):
        return window[column.removeprefix("mean of ")].mean()
    name, _, ago = column.removesuffix(" back").partition(" ")
    return window[name][-1 - int(ago or 0)]


@pytest.mark.long
def test_what_lies_deeper_in_the_window_takes_the_whole_of_it(noise_examples, model_spec):
    """A label that is the fifth row from the end: the last row knows nothing of it."""
    back = noise_examples.x[noise_examples.start, -5, 1]
    planted = dataclasses.replace(noise_examples, y=(back > 0.5).astype(np.uint8))
    aucs = {
        rule: _auc(planted, fit_estimator(planted, model_spec({"kind": "boosting", "inputs": rule})))
        for rule in RULES
    }  # fmt: skip
    assert aucs["window"] > 0.9 > 0.75 > aucs["last"]
    one = fit_estimator(planted, model_spec({"kind": "one_feature", "inputs": "window"}))
    assert one.chosen == ["high b 4 back"] * 2


def test_each_fold_reads_its_own_copy_of_the_series(noise_examples, model_spec):
    """Two copies one after the other, the second turned: fold 1 is fitted on the turned one."""
    one = noise_examples.series
    both = dataclasses.replace(
        noise_examples, series=np.concatenate([one, -one]), offsets=np.array([0, len(one)])
    )
    turned = dataclasses.replace(noise_examples, series=-one)
    for model in ("one_feature", "logit"):
        fits = [fit_estimator(e, model_spec(model)) for e in (noise_examples, turned, both)]
        np.testing.assert_array_equal(fits[2].logits[0], fits[0].logits[0])
        np.testing.assert_array_equal(fits[2].logits[1], fits[1].logits[1])
    assert fit_estimator(both, model_spec("one_feature")).chosen == ["high a", "low a"]


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("part", "kind", "label", "code"),
    [
        ("train", "base_rate", 0, "one_class"),
        ("train", "forest", 1, "one_class"),
        ("validation", "logit", 0, "one_class"),
        ("validation", "boosting", None, "no_validation"),
        ("train", "one_feature", None, "no_train"),
    ],
)
def test_folds_that_cannot_be_fitted_are_refused(
    noise_examples, model_spec, part, kind, label, code
):
    rows, y, parts = (
        noise_examples.members(part, 1),
        noise_examples.y.copy(),
        noise_examples.parts.copy(),
    )
    if label is None:
        parts[1, rows] = PARTS.index("none")
    else:
        y[rows] = label
    broken = dataclasses.replace(noise_examples, y=y, parts=parts)
    with pytest.raises(DataError, match=r"fold [12]: ") as caught:
        fit_estimator(broken, model_spec(kind))
    assert caught.value.code == code


def test_what_chooses_nothing_needs_no_validation_part(noise_examples, model_spec):
    parts = noise_examples.parts.copy()
    parts[parts == PARTS.index("validation")] = 0
    bare = dataclasses.replace(noise_examples, parts=parts)
    for model in ("base_rate", "forest", {"kind": "logit", "C": 1.0}):
        assert np.isfinite(fit_estimator(bare, model_spec(model)).logits[1]).any()


@pytest.mark.parametrize("kind", BOOSTERS)
def test_parameters_that_a_package_does_not_know_are_refused(noise_examples, model_spec, kind):
    spec = model_spec({"kind": kind, **FEW, "params": {"number_of_trees": 3}})
    with pytest.raises(TruenessError, match="number_of_trees") as caught:
        check_estimator(noise_examples, spec)
    assert caught.value.code in ("estimator_params", "estimator_fit")


@pytest.mark.parametrize(
    ("kind", "params"),
    [("lightgbm", {"max_bin": 7}), ("xgboost", {"max_bin": 4}), ("catboost", {"border_count": 3})],
)
def test_further_parameters_reach_the_package(noise_examples, model_spec, kind, params):
    plain, other = (model_spec({"kind": kind, **FEW, "params": p}) for p in ({}, params))
    assert plain.key != other.key
    fits = [fit_estimator(noise_examples, spec).logits for spec in (plain, other)]
    assert not np.array_equal(*fits, equal_nan=True)


@pytest.mark.parametrize("kind", BOOSTERS)
def test_every_field_of_boosting_is_read(noise_examples, model_spec, kind):
    """A field that changes the key changes the scores as well."""
    other = {
        "inputs": "last", "learning_rate": 0.2, "max_trees": 2, "num_leaves": 3, "max_depth": 2,
        "depth": 2, "min_child_samples": 60, "min_child_weight": 8.0, "gamma": 3.0, "reg_alpha": 4.0,
        "reg_lambda": 9.0, "l2_leaf_reg": 40.0, "random_strength": 9.0, "subsample": 0.4,
        "colsample_bytree": 0.4, "rsm": 0.4,
    }  # fmt: skip
    plain = model_spec({"kind": kind, **FEW})
    first = fit_estimator(noise_examples, plain).logits
    for field in set(type(plain.model).model_fields) - {"kind", "params", "version"}:
        spec = model_spec({"kind": kind, **FEW, field: other[field]})
        assert spec.key != plain.key
        again = fit_estimator(noise_examples, spec).logits
        assert not np.array_equal(first, again, equal_nan=True), field


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"kind": "lightgbm", "params": {"num_leaves": 3}}, "num_leaves is set by a field"),
        ({"kind": "xgboost", "params": {"seed": 3}}, "seed is set by a field"),
        ({"kind": "catboost", "params": {"iterations": 3}}, "iterations is set by a field"),
        ({"kind": "catboost", "params": {"metric_period": 5}}, "metric_period is set by a field"),
        ({"kind": "catboost", "params": {"class_names": [1, 0]}}, "class_names is set by a field"),
        ({"kind": "lightgbm", "params": {"boosting": "dart"}}, "boosting is set by a field"),
        ({"kind": "boosting", "learning_rate": 0}, "greater than 0"),
        ({"kind": "boosting", "max_trees": True}, "true or false"),
        ({"kind": "logit", "C": 0}, "greater than 0"),
        ({"kind": "forest", "max_features": 1.1}, "less than or equal to 1"),
        ({"kind": "estimator"}, "Field required"),
        ({"kind": "estimator", "of": "a.B", "inputs": "all"}, "'last', 'summary' or 'window'"),
        ({"kind": "estimator", "of": "a.B", "params": {"a": float("inf")}}, "finite"),
        ({"kind": "base_rate", "inputs": "last"}, "Extra inputs"),
        ({"kind": "ensemble", "of": ["a", "a"]}, "two runs that differ"),
        ({"kind": "ensemble", "of": []}, "at least 2"),
    ],
)
def test_shapes_refuse(model_spec, model, words):
    with pytest.raises(ValidationError, match=words):
        model_spec(model)
