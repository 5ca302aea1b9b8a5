import ast
import inspect
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import trueness
from trueness.losses.binary import LOSSES
from trueness.losses.groups import language_weights, log_priors
from trueness.losses.multiclass import CLASSIFICATION
from trueness.spec import Spec
from trueness.spec.estimator import Forest
from trueness.spec.loss import Focal, Loss, MildFocal
from trueness.spec.shape import Shape

TASK = {"kind": "market", "bars": "3b9c6f0d5a1e"}
HOLDOUT = {"protocol": "holdout"}
BASE = {"task": TASK, "evaluation": HOLDOUT}

# Keys of specs, computed once when the layout of version 0.1 was fixed. A change here means that stored runs
# are not found any more: give a new field a default that means "as before" instead.
GOLDEN = {
    "default": (BASE, "ea5fcf35e7fb"),
    "walk": (
        {**BASE, "evaluation": {"protocol": "walk_forward", "start": "2007-01-01"}},
        "0e0188faba99",
    ),
    "horizon": (
        {**BASE, "task": {**TASK, "horizon": 5, "target": {"kind": "touch", "threshold_pct": 2}}},
        "5aa4e341c152",
    ),
    "mirror": (
        {
            **BASE,
            "task": {**TASK, "target": {"kind": "touch", "threshold_pct": -1, "price": "close"}},
        },
        "7e67a0c611f0",
    ),
    "width": ({**BASE, "model": {"kind": "patchtst", "d_model": 64, "n_heads": 4}}, "80d91a14f71d"),
    "embedding": (
        {**BASE, "model": {"kind": "patchtst", "embedding": {"kind": "linear", "width": 32}}},
        "4be32dc7e0ba",
    ),
    "focal": ({**BASE, "loss": {"kind": "focal", "gamma": 1.5}}, "3209a4b1a752"),
    "recipe": ({**BASE, "recipe": {"learning_rate": 5e-4, "optimizer": "adamw"}}, "fb1c09e2abd9"),
    "forest": ({**BASE, "model": "forest"}, "6d7b2ebdd1b3"),
    "seed": ({**BASE, "seed": 7}, "e59fa25f2695"),
    "base_rate": ({**BASE, "model": "base_rate"}, "fc4904032884"),
    "one_feature": ({**BASE, "model": "one_feature"}, "3c1fd3333f9e"),
    "logit": ({**BASE, "model": "logit"}, "e7bd0600596a"),
    "boosting": ({**BASE, "model": "boosting", "seed": 7}, "32e8d1122644"),  # no seed is read
}


@pytest.mark.parametrize("name", GOLDEN)
def test_keys_stay_what_they_were(name):
    content, key = GOLDEN[name]
    assert Spec.model_validate(content).key == key


def test_different_specs_have_different_keys():
    keys = [Spec.model_validate(content).key for content, _ in GOLDEN.values()]
    assert len(set(keys)) == len(keys)


def _shuffled(content, draw):
    if not isinstance(content, dict):
        return content
    return {k: _shuffled(content[k], draw) for k in draw(st.permutations(sorted(content)))}


def _respelled(value, draw):
    """Whole floats as ints, ints as floats."""
    if isinstance(value, dict):
        return {k: _respelled(v, draw) for k, v in value.items()}
    if isinstance(value, list):
        return [_respelled(v, draw) for v in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        return value
    return draw(st.sampled_from([int(value), float(value)]))


@given(st.data())
def test_key_ignores_order_spelling_and_written_defaults(data):
    content, _ = data.draw(st.sampled_from(list(GOLDEN.values())))
    spec = Spec.model_validate(content)
    whole = json.loads(spec.model_dump_json())  # every default written out
    same = _respelled(_shuffled(whole, data.draw), data.draw)
    assert Spec.model_validate(same).key == spec.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "focal", "gamma": 0, "alpha": None}, "bce"),
        ({"kind": "mildfocal", "gamma": 0, "alpha": None}, "bce"),
        ({"kind": "mildfocal"}, {"kind": "focal", "gamma": 0.75, "alpha": 0.5}),
        (
            {"kind": "asymmetricfocal", "gamma_pos": 2, "gamma_neg": 2, "alpha": 0.25},
            {"kind": "focal"},
        ),
        ({"kind": "weightedbce", "pos_weight": 1}, "bce"),
        ({"kind": "labelsmoothing", "epsilon": 0}, "bce"),
        ({"kind": "weightedsum", "alpha": 1, "gamma": 3}, "bce"),
        ({"kind": "weightedsum", "alpha": 0, "gamma": 3}, {"kind": "softauc", "gamma": 3}),
        ({"kind": "entropyreg", "lambda_entropy": 0, "sign": -1}, "bce"),
        ({"kind": "variancereg", "lambda_var": 0}, "bce"),
        ({"kind": "calibratedfocal", "lambda_cal": 0, "temperature": 2}, "focal"),
        ({"kind": "calibratedfocal", "lambda_cal": 0, "gamma": 0, "alpha": None}, "bce"),
        ({"kind": "poly", "epsilon1": 0}, "bce"),
        ({"kind": "logitadjusted", "tau": 0, "prior": 0.2}, "bce"),
        ({"kind": "logitadjusted", "prior": 0.5}, "bce"),
        ({"kind": "ldam", "max_margin": 0, "prior": 0.2}, "bce"),
        (
            {"kind": "ldam", "max_margin": 0, "scale": 3, "prior": 0.2},
            {"kind": "ldam", "max_margin": 0, "scale": 3},
        ),
    ],
)
def test_loss_identities_share_a_key(one, other):
    keys = [Spec.model_validate({**BASE, "loss": loss}).key for loss in (one, other)]
    assert keys[0] == keys[1]


def test_half_of_cross_entropy_is_not_cross_entropy():
    half = Spec.model_validate({**BASE, "loss": {"kind": "focal", "gamma": 0, "alpha": 0.5}})
    assert half.key != Spec.model_validate(BASE).key


def test_baseline_key_ignores_what_it_never_reads():
    one = Spec.model_validate({**BASE, "model": "logit", "recipe": {"epochs": 3}, "seed": 9})
    assert one.key == Spec.model_validate({**BASE, "model": "logit"}).key
    forests = [Spec.model_validate({**BASE, "model": "forest", "seed": s}).key for s in (1, 2)]
    assert forests[0] != forests[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({**BASE, "model": {"kind": "patchtst", "n_heads": 7}}, "does not divide d_model"),
        ({**BASE, "task": {**TASK, "context": 10}}, "longer than"),
        ({**BASE, "recipe": {"lr": 1}}, "Extra inputs"),
        ({**BASE, "loss": "hinge"}, "hinge"),
        ({**BASE, "loss": {"kind": "softauc", "gamma": 0}}, "greater than 0"),
        ({**BASE, "loss": {"kind": "weightedsum", "alpha": 1.1}}, "less than or equal to 1"),
        ({**BASE, "loss": {"kind": "entropyreg", "sign": 0}}, "1 or -1"),
        ({**BASE, "loss": {"kind": "entropyreg", "sign": True}}, "true or false"),
        ({**BASE, "loss": {"kind": "poly", "epsilon1": -1.1}}, "greater than or equal to -1"),
        ({**BASE, "loss": {"kind": "logitadjusted", "prior": 1}}, "less than 1"),
        ({**BASE, "loss": {"kind": "ldam", "prior": 0}}, "greater than 0"),
        ({**BASE, "loss": {"kind": "partialauc", "max_fpr": 0}}, "greater than 0"),
        ({**BASE, "loss": {"kind": "toppush", "temperature": 0}}, "greater than or equal to 0.01"),
        ({**BASE, "recipe": {"learning_rate": float("nan")}}, "finite"),
        ({**BASE, "seed": True}, "true or false"),
        ({**BASE, "evaluation": {"protocol": "holdout", "val_start": "2025-01-01"}}, "before"),
        ({**BASE, "evaluation": {"protocol": "walk_forward", "start": "2007-01-01", "end": "2006-01-01"}}, "after"),
    ],
)  # fmt: skip
def test_refuses(content, words):
    with pytest.raises(ValidationError, match=words):
        Spec.model_validate(content)


def test_spec_is_frozen():
    with pytest.raises(ValidationError):
        Spec.model_validate(BASE).seed = 1


def test_alarm_budgets_are_a_sorted_set():
    rules = [{"protocol": "holdout", "alarms": a} for a in ([30, 7, 15, 7], [7, 15, 30])]
    keys = [Spec.model_validate({**BASE, "evaluation": rule}).key for rule in rules]
    assert keys[0] == keys[1] == Spec.model_validate(BASE).key


def test_identity_keeps_parameters():
    assert MildFocal(kind="mildfocal").identity() == Focal(kind="focal", gamma=0.75, alpha=0.5)


def test_defaults_of_published_losses():
    published = {
        "softauc": {"gamma": 2},
        "weightedsum": {"alpha": 0.5, "gamma": 2},
        "entropyreg": {"lambda_entropy": 0.1, "sign": 1},
        "variancereg": {"lambda_var": 0.5},
        "calibratedfocal": {"gamma": 2, "alpha": 0.25, "lambda_cal": 0.1, "temperature": 1},
    }
    for kind, defaults in published.items():
        loss = Spec.model_validate({**BASE, "loss": kind}).loss
        assert loss.model_dump(exclude={"kind"}) == defaults


def test_published_stopping():
    by_loss = {kind for kind in LOSSES if Loss.kinds()[kind].stop_on == "val_loss"}
    assert by_loss == {"labelsmoothing", "entropyreg", "variancereg", "calibratedfocal"}
    assert {Loss.kinds()[kind].stop_on for kind in set(LOSSES) - by_loss} == {"val_auc"}


def _shapes(of=Shape):
    for shape in of.__subclasses__():
        if shape.__module__.startswith("trueness."):
            yield shape
        yield from _shapes(shape)


def test_every_declared_field_is_read_somewhere():
    """A declared knob that nothing reads is a bug."""
    package = Path(trueness.__file__).parent
    read = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
    scalars = {  # keywords of the losses
        name
        for loss in (*LOSSES.values(), *CLASSIFICATION.values(), language_weights, log_priors)
        for name in inspect.signature(loss).parameters
    }
    fields = {name for shape in _shapes() for name in shape.model_fields}
    assert fields - read - scalars == set()


def test_label_names_what_differs():
    assert (
        Spec.model_validate({**BASE, "model": Forest(kind="forest")}).label()
        == "a20 · random forest"
    )
