"""Texts that show a difference of macro-F1: the plan comes true in what the tool then reports."""

import json

import numpy as np
import pytest

from tests.evaluation.cases import compare_slices
from tests.simulations.titles import Titles
from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.evaluation.class_power import ClassWorld, adjusted, class_power, spreads, texts_needed
from trueness.judge.class_plan import ClassQuestion, plan_classes

CLASSES, LIFT, FIRST = 6, 0.06, 0.75


def _verdicts(texts, lift, samples, seed):
    """Verdicts on the whole macro-F1 of two methods in samples of a world with a known lift."""
    right = np.array([FIRST, FIRST + lift])[:, None, None] * np.ones((2, 1, CLASSES))
    world = Titles((texts,), 1, np.full(CLASSES, 1 / CLASSES), right)
    rng = np.random.default_rng(seed)
    actual = []
    for _ in range(samples):
        y, predicted, language, blocks = world.draw(rng)
        compared = compare_slices(
            y, predicted[1], predicted[0], language, blocks, n_classes=CLASSES
        )
        actual.append(compared.summaries["macro_f1"].verdict)
    return actual


def test_with_the_planned_texts_the_lift_is_found_as_often_as_planned():
    needed, _ = texts_needed(ClassWorld(CLASSES, FIRST, 0.6), LIFT)
    actual = _verdicts(needed, LIFT, 120, seed=2)
    assert 0.68 <= np.mean([one == "better" for one in actual]) <= 0.92


def test_with_a_third_of_the_texts_it_is_found_much_less_often():
    needed, _ = texts_needed(ClassWorld(CLASSES, FIRST, 0.6), LIFT)
    actual = _verdicts(needed // 3, LIFT, 80, seed=3)
    assert np.mean([one == "better" for one in actual]) <= 0.6


def test_the_smallest_difference_of_the_planned_texts_is_the_lift():
    world = ClassWorld(10, 0.8)
    needed, each = texts_needed(world, 0.04)
    assert class_power(world, needed).paired == pytest.approx(0.04, rel=0.06)
    assert class_power(world, each).unpaired == pytest.approx(0.04, rel=0.06)


def test_spreads_follow_from_what_is_supposed():
    base = spreads(ClassWorld(10), 1000, 0.0)
    assert spreads(ClassWorld(10, cluster=3.0), 1000, 0.0)[0] == pytest.approx(base[0] * 2**0.5)
    assert spreads(ClassWorld(10, correlation=0.9), 1000, 0.0)[1] < base[1]
    none = spreads(ClassWorld(10, correlation=0.0), 1000, 0.0)
    assert none[1] == pytest.approx(none[0] * 2**0.5, rel=0.1)
    large = spreads(ClassWorld(10), 24_000, 0.0)
    assert large[0] == pytest.approx(spreads(ClassWorld(10), 6_000, 0.0)[0] / 2)


def test_many_methods_need_more_texts():
    assert adjusted(0.05, 1) == pytest.approx(0.05)
    one, many = (plan_classes(ClassQuestion(400, ClassWorld(10), 0.05, n)) for n in (1, 20))
    assert many.needed[0.05][0] > 1.3 * one.needed[0.05][0]
    assert many.detectable.paired > one.detectable.paired


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClassQuestion(40, ClassWorld(10)),  # under five of a class
        lambda: ClassQuestion(400, ClassWorld(10, 0.98), lift=0.03),
        lambda: ClassQuestion(400, ClassWorld(10), lift=0.0),
        lambda: ClassWorld(1),
        lambda: ClassWorld(10, correlation=1.0),
        lambda: ClassWorld(10, cluster=0.5),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(make):
    with pytest.raises(TruenessError) as caught:
        make()
    assert caught.value.code in ("plan", "range", "number")


def test_the_verb_plans_texts_and_refuses_a_mixture(capsys):
    code, out, _ = call(capsys, "plan", "--texts", 400, "--classes", 25, "--lift", 0.03, "--json")
    actual = json.loads(out)
    assert (code, actual["kind"], actual["texts"], actual["classes"]) == (
        0,
        "plan_classes",
        400,
        25,
    )
    assert {0.03} <= {one["lift"] for one in actual["needed"]}
    for options in (("--texts", 400), ("--classes", 5), ("--positives", 9), (),
                    ("--texts", 400, "--classes", 5, "--samples", 9)):  # fmt: skip
        code, out, err = call(capsys, "plan", *options)
        assert (code, out, len(err.strip().splitlines())) == (2, "", 1), options
