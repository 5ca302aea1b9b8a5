"""Code of others: loaded, pinned, refused; and campaigns that bring it."""

import re
import shutil
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import BASELINES
from tests.test_cli import call
from trueness.baselines import check_estimator, fit_estimator
from trueness.errors import CampaignError, SpecError, TruenessError
from trueness.examples import PARTS, Examples
from trueness.own import check_pinned, digest, load, pinned

# ------------------------------------------------------------------------------------------- bad input

NET = {"kind": "estimator", "of": "mine.py:Net"}
GOOD = """
class Net:
    def __init__(self, slope=1.0, random_state=None):
        self.slope, self.random_state = slope, random_state

    def fit(self, x, y):
        self.x = x
        return self

    def decision_function(self, x):
        return self.slope * x[:, 0] + self.random_state
"""
SCORED = """
import numpy as np
class Net:
    def fit(self, x, y):
        pass
    def predict_proba(self, x):
        return {}
"""
BAD = {
    "own_import": ("import no_such_package_here", {}),
    "own_import.syntax": ("class Net(:\n    pass", {}),
    "own_import.raises": ("1 / 0\nclass Net: pass", {}),
    "own_import.exits": ("raise SystemExit(3)", {}),
    "own_name": ("class Other: pass", {}),
    "own_name.number": ("Net = 3", {}),
    "estimator_methods": ("class Net:\n    def predict_proba(self, x): return x", {}),
    "estimator_methods.scores": ("class Net:\n    def fit(self, x, y): pass", {}),
    "estimator_params": (GOOD, {"slop": 2}),
    "estimator_params.raises": ("class Net:\n    def __init__(self): raise ValueError('no')", {}),
    "estimator_fit": (GOOD.replace("self.x = x", "self.x = x[:, 1000]"), {}),
    "estimator_fit.exits": (GOOD.replace("self.x = x", "import sys; sys.exit(0)"), {}),
    "estimator_fit.scores": (SCORED.format("undefined"), {}),
    "estimator_shape": (SCORED.format("np.zeros((len(x), 3))"), {}),
    "estimator_shape.short": (SCORED.format("np.zeros(len(x) - 1)"), {}),
    "estimator_shape.single": (SCORED.format("0.5"), {}),
    "estimator_shape.none": (SCORED.format("None"), {}),
    "estimator_shape.words": (SCORED.format("['a'] * len(x)"), {}),
    "estimator_shape.ragged": (SCORED.format("[[0.1], [0.1, 0.2]]"), {}),
    "estimator_shape.columns": (
        SCORED.format("np.zeros((len(x), 2))").replace("predict_proba", "decision_function"), {},
    ),
    "estimator_nan": (SCORED.format("np.full(len(x), np.nan)"), {}),
    "estimator_nan.infinite": (
        SCORED.format("np.full(len(x), -np.inf)").replace("predict_proba", "decision_function"), {},
    ),
    "estimator_probability": (SCORED.format("np.full((len(x), 2), 1.5)"), {}),
    "estimator_modifies": (GOOD.replace("self.x = x", "x -= x.mean(axis=0)"), {}),
    "estimator_modifies.labels": (GOOD.replace("self.x = x", "y[:] = 0"), {}),
    "estimator_modifies.scoring": (SCORED.format("x.clip(0, 1, out=x)[:, 0]"), {}),
}  # fmt: skip
"""Code of the refusal, and a file that earns it."""


@pytest.mark.parametrize("name", BAD)
def test_bad_code_is_refused_in_one_line_before_anything_trains(
    noise_examples, model_spec, tmp_path, name
):
    text, params = BAD[name]
    (tmp_path / "mine.py").write_text(textwrap.dedent(text))
    before = noise_examples.series.copy()

    def prepared():
        check_estimator(noise_examples, model_spec({**NET, "params": params}, tmp_path), tmp_path)

    with pytest.raises(TruenessError) as caught:
        prepared()
    assert caught.value.code == name.partition(".")[0]
    assert "\n" not in str(caught.value)
    assert "mine.py" in str(caught.value)
    np.testing.assert_array_equal(noise_examples.series, before)
    if not name.startswith("own"):
        spec = model_spec({**NET, "params": params}, tmp_path)
        with pytest.raises(TruenessError) as again:
            fit_estimator(noise_examples, spec, tmp_path)
        assert again.value.code == caught.value.code


def test_a_number_of_classes_is_no_name_of_theirs(noise_examples, model_spec, tmp_path):
    """`classes_` of others may hold anything; label 1 is then in the second column."""
    kept = SCORED.replace("pass", "self.classes_ = 3")
    text = kept.format("np.stack([x[:, 0] * 0 + 0.8, x[:, 0] * 0 + 0.2], 1)")
    (tmp_path / "mine.py").write_text(text)
    fitted = fit_estimator(noise_examples, model_spec(NET, tmp_path), tmp_path)
    np.testing.assert_allclose(fitted.logits[noise_examples.parts > 0], np.log(0.25), rtol=1e-6)


def test_an_error_of_own_code_names_its_line(noise_examples, model_spec, tmp_path):
    (tmp_path / "mine.py").write_text(BAD["estimator_fit"][0])
    spec = model_spec(NET, tmp_path)
    with pytest.raises(
        TruenessError, match=r"mine\.py:Net: fit: IndexError: .*\(mine\.py, line 7\)"
    ):
        check_estimator(noise_examples, spec, tmp_path)


def test_what_may_just_have_had_too_few_examples_is_tried_on_all(model_spec, tmp_path):
    """An estimator that needs more rows than are tried at first is no bad estimator."""
    n, rng = 1200, np.random.default_rng(0)
    series = rng.standard_normal((n, 1)).astype(np.float32)
    parts = np.full((1, n), PARTS.index("train"), np.int8)
    parts[0, 1000:] = PARTS.index("oof")
    examples = Examples(
        series, np.arange(n), 1, (series[:, 0] > 0).astype(np.uint8), np.arange(n).astype("M8[D]"),
        np.full(n, ""), parts, ("a",),
    )  # fmt: skip
    picky = GOOD.replace("self.x = x", "assert len(x) > {}")
    for least, fits in ((900, True), (1100, False)):
        (tmp_path / "mine.py").write_text(picky.format(least))
        spec = model_spec(NET, tmp_path)
        if fits:
            check_estimator(examples, spec, tmp_path)
        else:
            with pytest.raises(TruenessError) as caught:
                check_estimator(examples, spec, tmp_path)
            assert caught.value.code == "estimator_fit"


def test_seeds_reach_own_code_and_what_it_prints_stays_out_of_results(noise_examples, model_spec, tmp_path, capsys):  # fmt: skip
    text = GOOD.replace("self.x = x", "print('loud')") + "print('louder')\n"
    (tmp_path / "mine.py").write_text(text)
    fits = []
    for seed in (3, 5):
        spec = model_spec(NET, tmp_path, seed=seed)
        fits.append(fit_estimator(noise_examples, spec, tmp_path).logits)
    present = noise_examples.parts > 0
    np.testing.assert_allclose((fits[1] - fits[0])[present], 2.0, atol=1e-5)
    out = capsys.readouterr()
    assert out.out == ""
    assert "loud" in out.err


def test_the_column_of_label_one_is_found_by_the_classes(noise_examples, model_spec, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Net:\n"
        "    def fit(self, x, y): self.classes_ = np.array([1, 0])\n"
        "    def predict_proba(self, x): return np.tile([0.8, 0.2], (len(x), 1))\n"
    )
    spec = model_spec(NET, tmp_path)
    logits = fit_estimator(noise_examples, spec, tmp_path).logits
    np.testing.assert_allclose(logits[np.isfinite(logits)], np.log(4), rtol=1e-6)


# ------------------------------------------------------------------------------- loading and pinning


def test_packages_are_pinned_by_their_version():
    import sklearn

    name = "sklearn.naive_bayes.GaussianNB"
    assert digest(name, Path()) == f"sklearn {sklearn.__version__}"
    assert load(name, Path()).__name__ == "GaussianNB"


def test_the_digest_of_a_file_follows_what_it_imports(tmp_path):
    """Its own text, that of files and packages beside it, directly or not; nothing else."""
    (tmp_path / "mine.py").write_text("import one\nfrom pack import two\nclass Net: ...\n")
    (tmp_path / "one.py").write_text("import deep\n")
    (tmp_path / "deep.py").write_text("X = 1\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "two.py").write_text("Y = 1\n")
    (tmp_path / "stranger.py").write_text("Z = 1\n")
    first = digest("mine.py:Net", tmp_path)
    assert digest("mine.py:Other", tmp_path) == first  # the name stands in the spec
    seen = {first}
    for name in ("mine.py", "one.py", "deep.py", "pack/two.py"):
        with (tmp_path / name).open("a") as file:
            file.write("A = 2\n")
        seen.add(digest("mine.py:Net", tmp_path))
    assert len(seen) == 5
    last = digest("mine.py:Net", tmp_path)
    (tmp_path / "stranger.py").write_text("Z = 2\n")
    assert digest("mine.py:Net", tmp_path) == last
    moved = shutil.copytree(tmp_path, tmp_path / "elsewhere")
    assert digest("mine.py:Net", moved) == last


def test_nothing_is_run_to_pin_a_file(tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit('run')\n")
    assert len(digest("mine.py:Net", tmp_path)) == 12


def test_own_files_are_loaded_anew_when_their_source_changes(tmp_path):
    """And two folders with helpers of one name do not meet."""
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper.py").write_text(f"X = {value}\n")
        text = "from helper import X\ndef make(): return X, __file__\n"
        (tmp_path / folder / "mine.py").write_text(text)
    made = [load("mine.py:make", tmp_path / folder)() for folder in "ab"]
    assert [value for value, _ in made] == [1, 2]
    assert [Path(file).parent.name for _, file in made] == ["a", "b"]
    assert load("mine.py:make", tmp_path / "a") is load("mine.py:make", tmp_path / "a")
    (tmp_path / "a" / "helper.py").write_text("X = 30\n")
    assert load("mine.py:make", tmp_path / "a")()[0] == 30
    assert "helper" not in sys.modules
    assert str(tmp_path / "a") not in sys.path


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("mine", "own_name"),
        ("mine.py:", "own_name"),
        ("mine.txt:Net", "own_name"),
        ("mine.py:Net.sub", "own_name"),
        ("mine.py:Net", "own_missing"),
        ("../mine.py:Net", "own_missing"),
        ("no_such_package.Net", "own_missing"),
        ("sklearn.naive_bayes.Gaussian", "own_name"),
        ("sklearn.naive.GaussianNB", "own_name"),
        ("numpy.pi", "own_name"),
    ],
)
def test_references_that_lead_nowhere(reference, code, tmp_path):
    with pytest.raises(SpecError) as caught:
        load(reference, tmp_path)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_a_package_that_breaks_in_its_import_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package_here.py").write_text("import something_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError, match="something_that_nobody_has") as caught:
        load("broken_package_here.Net", Path())
    assert caught.value.code == "own_import"


def test_a_model_runs_only_as_its_key_says(noise_examples, make_spec, model_spec, tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)
    spec = model_spec(NET, tmp_path)
    loose = spec.model_copy(update={"model": spec.model.model_copy(update={"version": None})})
    with pytest.raises(SpecError) as caught:
        fit_estimator(noise_examples, loose, tmp_path)
    assert caught.value.code == "own_unpinned"
    (tmp_path / "mine.py").write_text(GOOD + "# other\n")
    with pytest.raises(SpecError) as caught:
        check_pinned(spec.model, tmp_path)
    assert caught.value.code == "own_changed"
    with pytest.raises(SpecError):
        fit_estimator(noise_examples, spec, tmp_path)
    assert model_spec(NET, tmp_path).key != spec.key
    network = make_spec().model
    assert pinned(network, tmp_path) is network


# ------------------------------------------------------------------------------- from a campaign file

CAMPAIGN = """\
campaign: own
title: Models of others
data: bars.csv
defaults:
  task: {context: 20}
  evaluation: {protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}
experiments:
"""


@pytest.fixture
def own_campaign(tiny):
    """A folder with a campaign of these experiments and an own file; the campaign's path."""

    def write(*experiments, **files):
        for name, text in files.items():
            (tiny.parent / f"{name}.py").write_text(textwrap.dedent(text))
        lines = [f"  - {{id: E-{i}, model: {model}}}\n" for i, model in enumerate(experiments, 1)]
        (tiny.parent / "own.yaml").write_text(CAMPAIGN + "".join(lines))
        return tiny.parent / "own.yaml"

    return write


def test_a_campaign_of_models_of_others_runs_like_any_other(own_campaign):
    from trueness.campaign import load_campaign
    from trueness.judge.leaderboard import leaderboard
    from trueness.runner import run
    from trueness.store import Store

    pytest.importorskip("lightgbm")
    file = own_campaign(
        "{kind: lightgbm, max_trees: 20}", "{kind: boosting, learning_rate: 0.1}", "boosting",
        "{kind: estimator, of: 'mine.py:Net', params: {slope: 2.0}}", mine=GOOD,
    )  # fmt: skip
    campaign, store = load_campaign(file), Store(file.parent / "store")
    assert campaign.experiments[0].spec.model.version.startswith("lightgbm ")
    assert re.fullmatch(r"[0-9a-f]{12}", campaign.experiments[3].spec.model.version)
    summary = run(campaign, store, device="cpu", workers=0)
    assert summary.failed == []
    assert len(summary.trained) == len(BASELINES) + 3  # the third experiment is the baseline itself
    (group,) = leaderboard(store).groups
    assert {m.run.key for m in group.candidates} == {
        campaign.experiments[i].spec.key for i in (0, 1, 3)
    }
    assert campaign.experiments[2].spec.key in {m.run.key for m in group.baselines}
    assert run(load_campaign(file), store, device="cpu", workers=0).trained == []
    (file.parent / "mine.py").write_text(GOOD + "\n")
    changed = load_campaign(file)
    assert [e.spec.key in store for e in changed.experiments] == [True, True, True, False]


@pytest.mark.parametrize("name", ["own_import", "own_name", "estimator_methods", "estimator_shape",
                                  "estimator_nan", "estimator_modifies"])  # fmt: skip
def test_bad_code_ends_a_run_with_status_2_and_nothing_written(own_campaign, name, capsys):
    file = own_campaign("{kind: estimator, of: 'mine.py:Net'}", mine=BAD[name][0])
    before = sorted(file.parent.iterdir())
    status, out, err = call(
        capsys, "run", file, "--store", file.parent / "store", "--device", "cpu", "--workers", "0"
    )
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert "mine.py" in err
    assert sorted(file.parent.iterdir()) == before


def test_a_package_that_is_not_installed_is_refused_with_what_installs_it(
    own_campaign, monkeypatch
):
    from trueness import own
    from trueness.campaign import load_campaign

    real = own.importlib.util.find_spec
    monkeypatch.setattr(
        own.importlib.util, "find_spec", lambda name: None if name == "catboost" else real(name)
    )
    with pytest.raises(CampaignError, match=r"own\.yaml:8: E-1: .*trueness\[boost\]") as caught:
        load_campaign(own_campaign("catboost"))
    assert caught.value.code == "own_missing"


def test_a_version_that_is_written_down_must_be_the_one_that_is_here(own_campaign):
    from trueness.campaign import load_campaign

    model = "{{kind: estimator, of: 'mine.py:Net'{}}}"
    known = (
        load_campaign(own_campaign(model.format(""), mine=GOOD)).experiments[0].spec.model.version
    )
    file = own_campaign(model.format(f", version: '{known}'"), mine=GOOD)
    assert load_campaign(file).experiments[0].spec.model.version == known
    with pytest.raises(CampaignError) as caught:
        load_campaign(own_campaign(model.format(f", version: '{known}'"), mine=GOOD + "\n"))
    assert caught.value.code == "own_changed"
