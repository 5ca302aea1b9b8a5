"""Two specs side by side, of stored runs and declared experiments."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden import named
from tests.test_cli import call
from trueness.cli import main
from trueness.errors import TruenessError
from trueness.judge.diff import NamedSpec, diff, stored_spec
from trueness.judge.settings import MISSING, content_of, flat, resolve, value_at
from trueness.market.indicators import tier_rows
from trueness.spec import Spec
from trueness.store.ledger import Ledger


def spec_of(make_spec, **sections):
    return NamedSpec("x", make_spec(**sections), "")


def differences(make_spec, one, other):
    return diff(spec_of(make_spec, **one), spec_of(make_spec, **other))


def paths(answer):
    return [pair.path for pair in answer.differing]


CHANGES = st.fixed_dictionaries({}, optional={
    "model.dropout": st.sampled_from([0.0, 0.1, 0.5]),
    "recipe.epochs": st.sampled_from([3, 5]),
    "recipe.learning_rate": st.sampled_from([1e-3, 2e-3]),
    "loss": st.sampled_from(["bce", "focal", {"kind": "focal", "gamma": 3.0}, {"kind": "labelsmoothing", "epsilon": 0.2}]),
    "seed": st.sampled_from([42, 43]),
    "task.tier": st.sampled_from(["a20", "a50"]),
})  # fmt: skip


def changed(changes):
    content = {
        "task": {"kind": "market", "bars": "0123456789ab"}, "evaluation": {"protocol": "holdout"},
        "model": {"kind": "patchtst", "d_model": 8, "n_heads": 2}, "recipe": {},
    }  # fmt: skip
    for path, value in changes.items():
        section, _, name = path.rpartition(".")
        (content[section] if section else content)[name] = value
    return Spec.model_validate(content)


@given(CHANGES, CHANGES)
def test_a_diff_is_exact_and_symmetric(one, other):
    """Taking the second values turns the first spec into the second; no difference is one key."""
    first, second = changed(one), changed(other)
    there = diff(NamedSpec("A", first, ""), NamedSpec("B", second, ""))
    back = diff(NamedSpec("B", second, ""), NamedSpec("A", first, ""))
    assert there.same == (first.key == second.key)
    assert {(p.path, repr(p.first), repr(p.second)) for p in there.differing} == {
        (p.path, repr(p.second), repr(p.first)) for p in back.differing
    }
    leaves = {
        path: value
        for path, value in flat(content_of(first)).items()
        if not isinstance(value, dict)
    }
    for pair in there.differing:
        leaves[pair.path] = pair.second
    made = {path: value for path, value in leaves.items() if value is not MISSING}
    content = content_of(second)
    assert all(value_at(content, path) == value for path, value in made.items())
    assert there.equal == len(leaves) - len(there.differing)
    assert there.equal == back.equal


def test_names_are_those_of_settings_elsewhere(make_spec):
    answer = differences(make_spec, {"model": {"dropout": 0.1}}, {"model": {"dropout": 0.2}})
    (pair,) = answer.differing
    specs = [answer.first.spec, answer.second.spec]
    assert resolve(pair.path, specs) == resolve("dropout", specs) == "model.dropout"
    assert (pair.first, pair.second, pair.only_in) == (0.1, 0.2, None)


def test_kinds_that_differ_show_what_each_alone_has(make_spec):
    answer = differences(make_spec, {"loss": "bce"}, {"loss": {"kind": "focal", "gamma": 3.0}})
    pairs = {pair.path: pair for pair in answer.differing}
    assert (pairs["loss.kind"].first, pairs["loss.kind"].second) == ("bce", "focal")
    gamma = pairs["loss.gamma"]
    assert (gamma.first, gamma.second, gamma.only_in, gamma.by_default) == (MISSING, 3.0, "second", False)  # fmt: skip
    text = str(answer.document().tables()[0].rows)
    assert "loss.gamma" in text
    hidden = [pair for pair in answer.differing if pair.by_default]
    assert all(pair.path not in text for pair in hidden)


def test_a_value_at_its_default_of_one_side_is_counted_not_listed(make_spec):
    default = differences(make_spec, {"loss": "bce"}, {"loss": "focal"})
    assert "loss.gamma" in paths(default)
    assert ["loss.kind", "bce", "focal"] in [list(r) for r in default.document().tables()[0].rows]
    assert not any("loss.gamma" in row for row in default.document().tables()[0].rows)
    assert any("Left out" in text for text in default.document().sentences())


def test_values_that_read_alike_are_told_apart(make_spec):
    answer = differences(
        make_spec, {"recipe": {"learning_rate": 1e-3}}, {"recipe": {"learning_rate": 1.0000001e-3}}
    )
    ((_, first, second),) = answer.document().tables()[0].rows
    assert first != second


def test_long_lists_show_what_the_other_lacks(make_spec):
    columns = [row.name for row in tier_rows("a20")][:10]
    answer = differences(
        make_spec, {"task": {"columns": columns}}, {"task": {"columns": columns[1:]}}
    )
    rows = {row[0]: row[1:] for row in answer.document().tables()[0].rows}
    assert rows["task.columns"] == [f"10 values, only here: {columns[0]}", "9 values"]


def test_one_spec_says_so(golden_market, capsys):
    status, out, _ = call(capsys, "diff", "deep16", "deep16", "--store", golden_market.root)
    assert status == 0
    assert "One spec" in out
    _, out, _ = call(capsys, "diff", "deep16", "deep16", "--json", "--store", golden_market.root)
    answer = json.loads(out)
    assert (answer["same"], answer["differing"], answer["equal"] > 20) == (True, [], True)


def test_stored_runs_by_every_name(golden_market, capsys):
    keys = {name: key for key, name in named(golden_market).items()}
    accesses = len(Ledger(golden_market).accesses(None))
    answers = []
    for first in ("deep16", "golden/deep16", keys["deep16"], keys["deep16"][:9]):
        _, out, _ = call(capsys, "diff", first, "linear16", "--json", "--store", golden_market.root)
        answers.append(json.loads(out))
    assert len({json.dumps(one["differing"]) for one in answers}) == 1
    assert {one["first"]["key"] for one in answers} == {keys["deep16"]}
    assert all(one["first"]["stored"] for one in answers)
    assert len(Ledger(golden_market).accesses(None)) == accesses  # nothing was evaluated


def test_across_kinds_of_task(golden_market, golden_titles):
    first = stored_spec(golden_market, "deep16")
    second = stored_spec(golden_titles, "plain")
    pairs = {pair.path: (pair.first, pair.second) for pair in diff(first, second).differing}
    assert pairs["task.kind"] == ("market", "titles")
    assert pairs["task.corpus"][0] is MISSING
    assert pairs["task.bars"][1] is MISSING


def test_declared_experiments_need_no_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path))  # where no corpus was built yet
    at = ("--store", tmp_path / "none")
    _, out, _ = call(capsys, "diff", "demo:D-01", "demo:D-03", *at, "--json")
    answer = json.loads(out)
    assert [pair["path"] for pair in answer["differing"]] == ["task.tier"]
    assert (answer["first"]["stored"], len(answer["first"]["key"])) == (False, 12)
    _, out, _ = call(capsys, "diff", "text:M-0", "demo:D-03", *at, "--json")
    answer = json.loads(out)
    assert (answer["first"]["key"], answer["second"]["task"]) == (None, "market")


def test_a_stored_run_equals_its_declaration(tiny, capsys, tmp_path):
    at = ("--store", tmp_path / "s")
    assert call(capsys, "run", tiny, "--id", "T-01", "--workers", 0, *at)[0] == 0
    _, out, _ = call(capsys, "diff", "T-01", f"{tiny}:T-01", "--json", *at)
    answer = json.loads(out)
    assert answer["same"] is True
    assert answer["first"]["key"] == answer["second"]["key"]
    _, out, _ = call(capsys, "diff", "T-01", f"{tiny}:T-02", *at)
    assert "model.dropout" in out


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("nobody", "no_run"),
        ("demo:nobody", "no_experiment"),
        ("nowhere:D-01", "campaign"),
        (":D-01", "campaign"),
        ("demo:", "no_experiment"),
    ],
)
def test_wrong_names_are_refused(golden_market, wanted, code):
    with pytest.raises(TruenessError) as error:
        main(["diff", "deep16", wanted, "--store", str(golden_market.root), "--trace"])
    assert error.value.code == code


def test_every_form_of_the_answer(golden_market, capsys, tmp_path):
    files = [f"--{name}={tmp_path / f'x{end}'}" for name, end in
             {"markdown": ".md", "report": ".html", "csv": ".csv", "latex": ".tex"}.items()]  # fmt: skip
    status, _, _ = call(capsys, "diff", "deep16", "forest", *files, "--store", golden_market.root)
    assert status == 0
    for end in (".md", ".html", ".csv"):
        assert "model.kind" in (tmp_path / f"x{end}").read_text()
