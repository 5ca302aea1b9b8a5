"""Every check of K classes on a planted case, and on a near miss."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from trueness.checks import (
    CHECKS,
    CheckInput,
    Clean,
    Finding,
    NotApplicable,
    checked,
    findings_from,
    run_checks,
)
from trueness.evaluation import Estimate
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.spec.external import ExternalSpec
from trueness.tasks.titles import predictions_of, training_facts
from trueness.text.building import build
from trueness.text.synthetic import Catalogue

K, SIZES = 4, {"en": 300, "de": 200, "fr": 150}
N = sum(SIZES.values())
CLASSES = ("book", "food", "shoe", "tool")
RNG = np.random.default_rng(5)
GROUP = np.repeat(list(SIZES), list(SIZES.values()))
Y = RNG.choice(K, N, p=[0.4, 0.3, 0.2, 0.1])
NOISE = RNG.standard_normal((N, K))
LOGITS = np.log([0.4, 0.3, 0.2, 0.1]) + 2 * (2 * np.eye(K)[Y] + NOISE) - 2
FIRST = np.eye(K)[0]
RULE = Estimands(
    "classes", "mean_group", "validation", "validation", ("validation", "test"), sealed=("test",),
    majority="en", nouns=("text", "language"),
)  # fmt: skip
CLEAN = {"ids": 0, "clusters": 0, "texts": 0}
EPOCHS = 6


def frame(split="validation", y=Y, scores=LOGITS, group=GROUP, **more):
    n = len(y)
    columns = {
        "split": [split] * n, "fold": [0] * n, "id": [f"{split} {i}" for i in range(n)],
        "group": group, "cluster": [f"{split} {i // 2}" for i in range(n)], "y": y,
        "group_confidence": np.full(n, 0.95),
        "scores": pl.Series(np.asarray(scores, np.float32), dtype=pl.Array(pl.Float32, K)), **more,
    }  # fmt: skip
    table = pl.DataFrame({name: one for name, one in columns.items() if one is not None})
    return table if "cluster" not in table.columns else table.with_columns(
        pl.col("cluster").hash().cast(pl.String))  # fmt: skip


def history(**changes):
    epoch = np.arange(1, EPOCHS + 1)
    return pl.DataFrame({
        "epoch": epoch, "updates": 100 * epoch, "skipped": 0 * epoch,
        "train_loss": 1 / epoch, "val_loss": 0.5 + 0.5 / epoch, "macro_f1": 0.8 - 0.3 / epoch,
        **changes,
    })  # fmt: skip


def check_input(
    measured=None,
    others=(),
    record=None,
    rule=RULE,
    task="titles",
    trained=None,
    scale="logit",
    **more,
):
    """A healthy run with everything there is to know, some of it changed."""
    tables = [frame() if measured is None else measured, *others]
    predictions = Predictions(pl.concat(tables, how="diagonal"), scale, CLASSES)
    training = {"rows": 1000, "classes": [400, 300, 200, 100], "shared": {"validation": CLEAN}}
    known = {"estimates": {}, "best_epoch": EPOCHS, "training": training, **(record or {})}
    known = {name: one for name, one in known.items() if one is not None}
    kept = history() if trained is None else trained
    return CheckInput(task, rule, known, lambda: predictions, lambda: kept, **more)


def answer(code, run):
    (result,) = run_checks(run, [code])
    return result


def shared(**counts):
    facts = {"rows": 1000, "classes": [4, 3, 2, 1], "shared": {"validation": {**CLEAN, **counts}}}
    return {"record": {"training": facts}}


def again(table, **columns):
    """Another part that holds the same texts, but for some columns."""
    return frame("test").with_columns(**{n: table[n] for n in columns if columns[n]})


def estimate(low, high):
    return Estimate((low + high) / 2, low, high, N)


def rows(n, classes):
    """Texts of a further language with so many classes."""
    y = np.arange(n) % classes
    return frame("validation", y, 4 * np.eye(K)[y], np.full(n, "sw"), id=[f"sw {i}" for i in range(n)],
                 cluster=[f"sw {i}" for i in range(n)])  # fmt: skip


def doubtful(mean):
    return frame(group_confidence=np.where(GROUP == "fr", mean, 0.95))


def loss_at_end(value):
    return history(val_loss=np.r_[np.linspace(1, 0.5, EPOCHS - 1), value])


CASES = {
    "TRU101 clusters": (shared(clusters=1), shared()),
    "TRU101 ids": (shared(ids=1), shared()),
    "TRU101 texts": (shared(texts=7), shared(texts=6)),
    "TRU101 test part": (dict(others=[again(frame(), cluster=True)]), dict(others=[frame("test")])),
    "TRU101 ids of test": (dict(others=[again(frame(), id=True)]), dict(others=[frame("test")])),
    "TRU101 train part": (dict(others=[frame("train").with_columns(cluster=frame()["cluster"])]), dict(others=[frame("train")])),
    "TRU102": (dict(measured=frame(scores=LOGITS + 12 * FIRST)), dict(measured=frame(scores=LOGITS + 3 * FIRST))),
    "TRU102 spread": (dict(measured=frame(scores=LOGITS / 200)), dict(measured=frame(scores=LOGITS / 10))),
    "TRU103": (dict(differences={"best": estimate(-0.02, -0.001), "tfidf_svm": estimate(0.01, 0.02)}),
               dict(differences={"best": estimate(-0.02, 0.001), "tfidf_svm": estimate(-0.03, -0.02)})),
    "TRU104": (dict(measured=frame(scores=NOISE + 3 * FIRST)), dict(measured=frame(scores=LOGITS + 4 * FIRST))),
    "TRU104 other rows": (dict(measured=frame(scores=LOGITS[::-1])), dict()),
    "TRU104 constant": (dict(measured=frame(scores=np.zeros((N, K)))), dict()),
    "TRU105": (dict(others=[rows(99, 4)]), dict(others=[rows(100, 4)])),
    "TRU105 per class": (dict(others=[rows(15, 4)], rule=dataclasses.replace(RULE, min_rows=10)),
                         dict(others=[rows(20, 4)], rule=dataclasses.replace(RULE, min_rows=10))),
    "TRU106": (dict(others=[rows(120, 3)]), dict(others=[rows(120, 4)])),
    "TRU107": (dict(measured=frame(scores=3 * NOISE)), dict(measured=frame(scores=LOGITS))),
    "TRU108": (dict(trained=loss_at_end(0.63)), dict(trained=loss_at_end(0.62))),
    "TRU108 scores": (dict(others=[frame("train", scores=9 * np.eye(K)[Y])], measured=frame(scores=LOGITS + 2 * NOISE)),
                      dict(others=[frame("train")])),
    "TRU109 loss": (dict(trained=history(train_loss=np.r_[1, 0.4, 0.4, 0.4, 0.4, 0.81])),
                    dict(trained=history(train_loss=np.r_[1, 0.4, 0.4, 0.4, 0.4, 0.79]))),
    "TRU109 not finite": (dict(trained=history(val_loss=np.r_[1, np.nan, 1, 1, 1, 1])), dict()),
    "TRU109 lost": (dict(trained=history(macro_f1=np.r_[0.8, 0.8, 0.8, 0.8, 0.8, 0.39])),
                    dict(trained=history(macro_f1=np.r_[0.8, 0.8, 0.8, 0.8, 0.8, 0.41]))),
    "TRU109 skipped": (dict(trained=history(skipped=7 * np.arange(1, 7))), dict(trained=history(skipped=5 * np.arange(1, 7)))),
    "TRU110": (dict(measured=doubtful(0.79)), dict(measured=doubtful(0.81))),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fires_on_the_planted_case_and_not_on_the_near_miss(case):
    code, (planted, miss) = case[:6], CASES[case]
    finding = answer(code, check_input(**planted))
    assert isinstance(finding, Finding), finding
    assert (finding.severity, finding.title) == (CHECKS[code].severity, CHECKS[code].title)
    assert finding.evidence
    assert finding.numbers
    assert all(np.isfinite(x) for x in finding.numbers.values())
    assert findings_from([finding.to_dict()]) == [finding]
    assert answer(code, check_input(**miss)) == Clean(code)


MADE = {code for code, one in CHECKS.items() if {"classes", "titles"} & {*one.applies_to}}


def test_every_check_of_classes_has_a_planted_case():
    assert {case[:6] for case in CASES} == MADE


def test_a_healthy_run_has_no_findings():
    results = run_checks(check_input(differences={"best": estimate(0.01, 0.02)}))
    assert {type(one) for one in results} == {Clean}
    assert {one.code for one in results} == MADE


LACKING = {
    "TRU101": dict(record={"training": None}),
    "TRU103": dict(differences={"majority": estimate(0.1, 0.2)}),
    "TRU104": dict(measured=frame(cluster=np.arange(N) // 200)),
    "TRU105": dict(measured=frame(group=None)),
    "TRU106": dict(measured=frame(group=None)),
    "TRU107": dict(record={"training": None}),
    "TRU108": dict(trained=history().clear()),
    "TRU109": dict(trained=history().clear()),
    "TRU110": dict(measured=frame(group_confidence=None)),
}  # fmt: skip


@pytest.mark.parametrize("code", LACKING)
def test_what_is_lacking_is_said(code):
    result = answer(code, check_input(**LACKING[code]))
    assert isinstance(result, NotApplicable)
    assert result.why


def test_scores_from_elsewhere_are_checked_as_far_as_they_go():
    spec = ExternalSpec.model_validate({
        "task": {"kind": "external", "units": "0123", "classes": CLASSES},
        "model": {"kind": "scores", "name": "svm", "digest": "4567"},
        "evaluation": {"measured_on": "validation"},
    })  # fmt: skip
    table = frame(group=None, cluster=None, group_confidence=None, scores=np.zeros((N, K)))
    predictions = Predictions(table, classes=CLASSES)
    record = {"estimates": {}}
    answers = {r.code: r for r in run_checks(CheckInput.of(spec, record, predictions))}
    assert {c for c, r in answers.items() if isinstance(r, Finding)} == {"TRU102", "TRU104"}
    assert {c for c, r in answers.items() if isinstance(r, NotApplicable)} >= {
        "TRU004", "TRU101", "TRU105", "TRU106", "TRU107", "TRU108",
    }  # fmt: skip
    assert [f["code"] for f in checked(spec, record, predictions)["findings"]] == [
        "TRU102", "TRU104",
    ]  # fmt: skip


def test_evidence_uses_the_nouns_of_the_task():
    finding = answer("TRU105", check_input(others=[rows(99, 4)]))
    assert "1 language with fewer than 100 texts" in finding.evidence
    assert "sw (99)" in finding.evidence
    plain = dataclasses.replace(RULE, nouns=("unit", "group"))
    assert (
        "1 group with fewer than 100 units"
        in answer("TRU105", check_input(others=[rows(99, 4)], rule=plain)).evidence
    )


def test_the_ceiling_of_a_language_is_named():
    finding = answer("TRU106", check_input(others=[rows(120, 3)]))
    assert finding.numbers == {"groups": 1, "fewest": 3, "classes": 4, "ceiling": 0.75}


MOVED = {
    "shared_texts": ("TRU101", shared(texts=6), 0.001),
    "collapsed_classes": ("TRU102", dict(), 2.0),
    "collapsed_spread": ("TRU102", dict(), 2.0),
    "texts_per_class": ("TRU105", dict(), 100),
    "macro_f1_gap": ("TRU108", CASES["TRU108 scores"][0], 0.9),
    "loss_rise": ("TRU108", CASES["TRU108"][0], 0.9),
    "diverged_loss": ("TRU109", CASES["TRU109 loss"][0], 9.0),
    "skipped_updates": ("TRU109", CASES["TRU109 skipped"][0], 0.9),
    "lost_score": ("TRU109", CASES["TRU109 lost"][0], 0.1),
    "language_confidence": ("TRU110", dict(), 0.99),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVED)
def test_every_limit_moves_its_check(name):
    code, changes, value = MOVED[name]
    before = answer(code, check_input(**changes))
    after = answer(code, check_input(**changes, moved={name: value}))
    assert type(before) is not type(after)


def test_the_limits_of_every_check_of_classes_are_moved():
    own = {
        one.name
        for c in CHECKS.values()
        if {"classes", "titles"} & {*c.applies_to}
        for one in c.limits
    }
    assert own == set(MOVED)


# ---------------------------------------------------------------------------------- what titles store


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return build(Catalogue(rows=900), tmp_path_factory.mktemp("corpus") / "titles")


def test_predictions_of_titles_hold_the_confidence_of_their_languages(corpus):
    logits = {p: np.zeros((len(corpus.part(p)), len(corpus.classes)), np.float32)
              for p in ("validation", "test")}  # fmt: skip
    part = predictions_of(corpus, logits).part("test")
    sure = dict(zip(corpus.part("test").ids, corpus.part("test").confidence, strict=True))
    assert part.column("group_confidence").tolist() == [sure[i] for i in part.id.tolist()]


def test_training_facts_count_classes_and_what_parts_share(corpus, tmp_path):
    facts = training_facts(corpus)
    train = corpus.part("train")
    assert facts["rows"] == len(train) == sum(facts["classes"])
    assert facts["classes"][0] == int((train.y == 0).sum())
    assert facts["shared"]["test"]["clusters"] == 0 == facts["shared"]["validation"]["ids"]

    class Leaking:
        """A corpus whose test part begins with two training texts, one in capitals."""

        classes = corpus.classes

        def part(self, name):
            titles = corpus.part(name)
            if name != "test":
                return titles
            texts = titles.texts.to_list()
            texts[:2] = [train.texts[0].upper() + " ", train.texts[1]]
            cluster = titles.cluster.copy()
            cluster[0] = train.cluster[0]
            return dataclasses.replace(titles, texts=pl.Series(texts), cluster=cluster)

    leaking = training_facts(Leaking())["shared"]["test"]
    assert leaking["texts"] == facts["shared"]["test"]["texts"] + 2
    assert (leaking["clusters"], leaking["ids"]) == (1, 0)
