"""What other programs write comes in, and what trueness writes opens in others."""

import json
import math
import re

import numpy as np
import optuna
import polars as pl
import pytest

from tests.test_cli import call
from trueness import api
from trueness.errors import DataError, TruenessError
from trueness.judge.leaderboard import leaderboard
from trueness.reading import read_table
from trueness.search import find_study, open_storage, study_of
from trueness.store import Store

HOSTILE = ["50% & more_#1 {a}", r"C:\new\~x^2 $y$", "=SUM(A1)", 'a|b "c", d']
"""Names that mean something to LaTeX, Markdown, CSV or a spreadsheet."""


@pytest.fixture(scope="module")
def table():
    """Scores of four models with hostile names."""
    rng = np.random.default_rng(5)
    y = (rng.random(800) < 0.15).astype(int)
    scores = {name: 0.3 * y + 0.6 * rng.random(800) for name in HOSTILE}
    return pl.DataFrame({"label": y, **scores})


@pytest.fixture(scope="module")
def board(table, tmp_path_factory):
    """The answer about them, its store, and every file that the verb writes of it."""
    folder = tmp_path_factory.mktemp("board")
    answer = api.judge("label", data=table, alarms=30, name="hostile", store=folder / "store")
    return answer, folder


@pytest.fixture
def files(board, tmp_path, capsys):
    """End of a name -> file of the leaderboard."""
    options = {"csv": "csv", "parquet": "parquet", "latex": "tex", "markdown": "md"}
    written = {end: tmp_path / f"board.{end}" for end in options.values()}
    given = [word for option, end in options.items() for word in (f"--{option}", written[end])]
    status, _, err = call(capsys, "leaderboard", "hostile", "--store", board[1] / "store", *given)
    assert (status, err.count("wrote ")) == (0, 4)
    return written


# ------------------------------------------------------------------------------- the leaderboard


def test_parquet_opens_again_with_every_number_and_its_type(files, board):
    frame = leaderboard(Store(board[1] / "store"), "hostile").to_frame()
    back = pl.read_parquet(files["parquet"])
    assert back.equals(frame, null_equal=True)
    assert back.schema == frame.schema
    pandas = pytest.importorskip("pandas").read_parquet(files["parquet"])
    assert sorted(pandas["name"]) == sorted(HOSTILE)
    assert pandas["precision@30_k"].tolist() == frame["precision@30_k"].to_list()


def test_csv_opens_again_and_carries_no_formula_out(files):
    back = pl.read_csv(files["csv"])
    frame = pl.read_parquet(files["parquet"])
    assert sorted(back["name"]) == sorted(n if n[0] != "=" else f"'{n}" for n in HOSTILE)
    for name in ("auc", "auc_low", "precision@30", "precision@30_high"):
        assert back[name].to_list() == pytest.approx(frame[name].to_list(), rel=1e-9)


LETTERS = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^",
    r"\textbar{}": "|", r"\textquotedbl{}": '"', "{[}": "[", "{]}": "]", "{*}": "*",
}  # fmt: skip


def _read_latex(cell):
    """Text of a cell, by the rules of LaTeX: commands for letters, a backslash before others."""
    cell = re.sub(r"^\\text(?:bf|it|tt)\{(.*)\}$", r"\1", cell.strip())
    pattern = "|".join([*map(re.escape, LETTERS), r"\\[{}$&#%_]"])
    return re.sub(pattern, lambda m: LETTERS.get(m[0], m[0][1:]), cell)


def test_latex_opens_again_with_every_name(files):
    """Read by its rules: groups are closed, cells are split at bare ampersands only."""
    text = files["tex"].read_text()
    bare = re.sub(r"\\[{}$&#%_\\]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 1
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    rows = [re.split(r"(?<!\\)&", line.removesuffix(r" \\")) for line in body.strip().splitlines()]
    assert len({len(row) for row in rows}) == 1
    assert {_read_latex(row[0]) for row in rows} == set(HOSTILE)


def test_markdown_has_as_many_cells_as_columns(files):
    lines = [line for line in files["md"].read_text().splitlines() if line.startswith("|")]
    head, _, *rows = lines[: 2 + len(HOSTILE)]
    cells = len(re.findall(r"(?<!\\)\|", head))
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [cells] * len(HOSTILE)


def test_an_answer_writes_the_same_parquet(files, board, tmp_path):
    again = api.leaderboard("hostile", store=board[1] / "store").report(tmp_path / "again.parquet")
    assert pl.read_parquet(again).equals(pl.read_parquet(files["parquet"]), null_equal=True)


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_an_answer_is_plain_text_where_colours_are_asked_for(board, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    text = str(board[0])
    assert "precision@30" in text
    assert "\x1b" not in text


# ---------------------------------------------------------------------- datasets of Hugging Face


@pytest.fixture
def dataset(table):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    made = datasets.Dataset.from_dict(table.to_dict(as_series=False))
    return made.cast_column("label", datasets.ClassLabel(names=["no", "yes"]))


def _estimates(answer):
    (group,) = answer.to_dict()["groups"]
    return {model["name"]: model["estimates"] for model in group["models"]}


def test_a_dataset_is_judged_like_the_frame_it_came_from(dataset, board):
    assert _estimates(api.judge("label", data=dataset, alarms=30)) == _estimates(board[0])


def test_a_saved_dataset_is_judged_by_the_verb(dataset, board, tmp_path, capsys):
    dataset.save_to_disk(tmp_path / "saved", num_shards=3)
    status, out, _ = call(capsys, "judge", tmp_path / "saved", "--y", "label", "--alarms", 30,
                          "--store", tmp_path / "store", "--json")  # fmt: skip
    assert status == 0
    (group,) = json.loads(out)["groups"]
    actual = {model["name"]: model["estimates"]["auc"]["value"] for model in group["models"]}
    assert actual == {name: one["auc"]["value"] for name, one in _estimates(board[0]).items()}


def test_rows_that_an_index_chose_are_saved_in_its_order(dataset, tmp_path):
    chosen = dataset.shuffle(seed=3).select(range(100))
    chosen.save_to_disk(tmp_path / "saved")
    frame = read_table(tmp_path / "saved").frame
    assert frame[HOSTILE[0]].to_list() == chosen[HOSTILE[0]][:]
    assert frame["label"].to_list() == chosen["label"][:]


def test_a_saved_dataset_is_the_table_of_a_campaign(dataset, tmp_path, capsys):
    dataset.rename_columns(dict(zip(HOSTILE, "abcd", strict=True))).save_to_disk(tmp_path / "saved")
    (tmp_path / "c.yaml").write_text(
        "campaign: c\ndata: saved\ndefaults:\n  task: {kind: table, label: label}\n"
        "  evaluation: {protocol: kfold, n_folds: 2, alarms: [30]}\n"
        "experiments:\n  - {id: one, model: {kind: boosting}}\n"
    )
    status, out, _ = call(capsys, "run", tmp_path / "c.yaml", "--dry-run", "--json",
                          "--store", tmp_path / "store")  # fmt: skip
    assert status == 0
    assert {one["features"] for one in json.loads(out)["rows"] if one["id"] == "one"} == {4}


def test_a_dataset_that_cannot_be_taken_is_named(dataset, tmp_path):
    datasets = pytest.importorskip("datasets")
    both = datasets.DatasetDict({"train": dataset, "test": dataset})
    both.save_to_disk(tmp_path / "both")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "state.json").write_text("{}")
    dataset.save_to_disk(tmp_path / "cut")
    (file,) = (tmp_path / "cut").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    codes = {}
    for name, data in {
        "both in memory": both, "both": tmp_path / "both", "empty": tmp_path / "empty",
        "cut": tmp_path / "cut", "streams": dataset.to_iterable_dataset(),
    }.items():  # fmt: skip
        with pytest.raises(DataError) as error:
            api.judge("label", data=data)
        codes[name] = error.value.code
    assert codes == {"both in memory": "several_splits", "both": "several_splits",
                     "empty": "unreadable", "cut": "unreadable", "streams": "table"}  # fmt: skip


# -------------------------------------------------------------------------------- Optuna studies


def _study(url, direction="minimize"):
    """A study that trueness did not make, with a failed and a pruned trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=url, study_name="mine", direction=direction,
                                sampler=optuna.samplers.RandomSampler(seed=1))  # fmt: skip

    def objective(trial):
        rate = trial.suggest_float("net.rate", 1e-4, 1e-1, log=True)
        other = trial.suggest_float("head.rate", 0.0, 1.0)
        kind = trial.suggest_categorical("kind", ["gini", None, True])
        trial.suggest_int("depth", 2, 8)
        trial.set_user_attr("run", "not ours")
        if trial.number == 3:
            raise optuna.TrialPruned
        return (math.log10(rate) + 2) ** 2 + other + (kind is True)

    study.optimize(objective, n_trials=25)
    return study


def _read_as_ours(study, url, tmp_path, sign):
    storage = open_storage(url, must_exist=True)
    try:
        stored = find_study(storage, "mine", foreign=True)
        actual = study_of(stored, Store(tmp_path / "none"))
        with pytest.raises(DataError) as error:
            find_study(storage, "mine")
        assert error.value.code == "foreign_study"
    finally:
        storage.remove_session()
        storage.engine.dispose()
    done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert [trial.value for trial in actual.completed] == [sign * trial.value for trial in done]
    assert set(actual.space) == {"net.rate", "head.rate", "kind", "depth"}
    assert actual.space["kind"] == ("gini", "None", "True")
    first = {
        name: str(v) if v is None or isinstance(v, bool) else v
        for name, v in done[0].params.items()
    }
    assert actual.completed[0].params == first
    assert any("1 trial pruned" in note for note in actual.notes)


@pytest.mark.parametrize(("direction", "sign"), [("minimize", -1), ("maximize", 1)])
def test_a_study_of_another_program_is_read(tmp_path, direction, sign):
    url = f"sqlite:///{tmp_path}/mine.db"
    _read_as_ours(_study(url, direction), url, tmp_path, sign)


@pytest.mark.services
def test_a_study_of_another_program_is_read_from_postgresql(postgres, tmp_path):
    url = postgres.database().replace("postgresql://", "postgresql+psycopg://")
    _read_as_ours(_study(url), url, tmp_path, -1)


def test_the_verbs_read_it_and_those_that_go_on_with_it_refuse(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/mine.db"
    study = _study(url)
    status, out, _ = call(capsys, "search", "analyze", "mine", "--storage", url, "--json",
                          "--store", tmp_path / "store")  # fmt: skip
    assert status == 0
    assert f"{-study.best_value:.6g}"[:8] in out
    status, out, _ = call(capsys, "search", "coverage", "--all", "--storage", url,
                          "--store", tmp_path / "store")  # fmt: skip
    assert (status, "head.rate" in out) == (0, True)
    for verb in ("propose", "promote"):
        status, _, err = call(capsys, "search", verb, "mine", "--storage", url,
                              "--store", tmp_path / "store")  # fmt: skip
        assert (status, "did not make" in err, len(err.splitlines())) == (2, True, 1)


def test_a_study_that_is_not_there_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/mine.db"
    _study(url)
    storage = open_storage(url, must_exist=True)
    with pytest.raises(TruenessError, match="choose from mine"):
        find_study(storage, "yours", foreign=True)
    storage.engine.dispose()
