"""Golden answers on titles: what the first edition said about texts, this one says to the digit."""

import numpy as np
import pytest

from tests.golden import equal, estimate_name, expected, models, named
from trueness.bundle.class_promise import temperatures_of
from trueness.evaluation.group_calibration import abstention_thresholds, accepted
from trueness.judge.languages import compare_two, recorded_slices
from trueness.judge.languages_group import class_group

RENAMED = {
    "languages": "groups", "clusters": "blocks", "hurts_english": "majority_degraded",
    "languages_against": "groups_against", "by_language": "by_group", "best_of": "n_candidates",
    "cut": "threshold", "taken": "accepted",
}  # fmt: skip


def today(content):
    """Expected content under the names of today."""
    if isinstance(content, dict):
        return {_name(name): today(value) for name, value in content.items()}
    if isinstance(content, list):
        return [today(one) for one in content]
    return estimate_name(content) if isinstance(content, str) else content


def _name(name):
    return RENAMED.get(name, estimate_name(name))


@pytest.fixture
def runs(golden_titles):
    names = named(golden_titles, "golden-titles")
    return {name: golden_titles.run(key) for key, name in names.items()}


@pytest.fixture
def methods(runs):
    actual = {}
    for model in models()["titles"]["models"]:
        actual.setdefault(model["candidate"], []).append(runs[model["name"]])
    return {name: actual[name] for name in ("tfidf", "plain", "adjusted", "dro")}


def test_estimates_and_temperatures(runs):
    for name, wanted in expected()["titles"]["runs"].items():
        equal(runs[name].record, today(wanted), name)


def test_slices(runs):
    for name, parts in expected()["titles"]["slices"].items():
        for part, wanted in parts.items():
            content = today(wanted)
            for one in (content["overall"], *content["groups"].values()):
                del one["calibration"]["calibration_error"]  # less its bias today
            equal(recorded_slices(runs[name], part).to_dict(), content, f"{name}.{part}")


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("target", ["worst_language", "mean_language"])
def test_methods(golden_titles, methods, part, target):
    wanted = today(expected()["titles"]["compare_many"][part][target])
    runs = [run for some in methods.values() for run in some]
    ids = {run.key: [name] for name, some in methods.items() for run in some}
    for store in (None, golden_titles, golden_titles):  # computed, kept, read
        actual = class_group(
            store, runs, ids, part=part, target=estimate_name(target), reference="plain"
        )
        equal(actual.comparison.to_dict(), wanted, f"{part}.{target}")


def test_two_runs(runs):
    wanted = today(expected()["titles"]["compare_slices"])
    assert wanted.pop("part") == "test"
    equal(compare_two(runs["adjusted_1"], runs["plain"], "test").to_dict(), wanted)


@pytest.mark.parametrize("name", ["plain", "dro"])
@pytest.mark.parametrize(("kind", "confidence"), [("certified", 0.95), ("observed", None)])
def test_abstention_thresholds(runs, name, kind, confidence):
    wanted = expected()["titles"]["precision_cuts"][name][kind]
    run, temperatures = runs[name], temperatures_of(runs[name])
    valid, test = (run.predictions().part(part) for part in ("validation", "test"))
    actual = abstention_thresholds(
        valid.y, temperatures.probabilities(valid.scores, valid.group), valid.group,
        valid.blocks(), precision=0.8, confidence=confidence,
    )  # fmt: skip
    equal({group: one.to_dict() for group, one in actual.items()}, today(wanted["cuts"]), kind)
    took = accepted(temperatures.probabilities(test.scores, test.group), test.group, actual)
    assert int(np.sum(took)) == wanted["taken_of_test"]
