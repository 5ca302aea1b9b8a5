"""The documented functions: same answers as the verbs, from whatever holds columns."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import trueness
from tests.test_external import scores
from trueness.api import (
    Answer,
    calibrate,
    certify,
    compare,
    judge,
    leaderboard,
    load,
    show,
    thresholds,
)
from trueness.cli import comparing, external
from trueness.errors import TruenessError
from trueness.judge.leaderboard import leaderboard as ranked
from trueness.store import MemoryStore, Store

FRAME = scores()
Y, DATES = FRAME["y"].to_numpy(), FRAME["date"]
SCORES = {name: FRAME[name].to_numpy() for name in ("good", "coin", "vix")}


def numbers(answer):
    """Everything of a leaderboard that does not depend on when it was made."""
    (group,) = answer.to_dict()["groups"]
    return [[m["name"], m["baseline"], m["estimates"], m["findings"]] for m in group["models"]], (
        group["comparison_group"]
    )


@pytest.fixture(scope="module")
def answer():
    return judge(Y, SCORES, time=DATES, baseline="vix")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Folder of a store with three models."""
    folder = tmp_path_factory.mktemp("api") / "store"
    judge(Y, SCORES, time=DATES, baseline="vix", store=folder, name="mine")
    return folder


# ------------------------------------------------------------------------------------------- judging


def tensors(torch):
    return {n: torch.tensor(v, requires_grad=True, dtype=torch.float64) for n, v in SCORES.items()}


SOURCES = {
    "lists": (Y.tolist(), {n: v.tolist() for n, v in SCORES.items()}, DATES.to_list()),
    "polars": (FRAME["y"], FRAME.select("good", "coin", "vix"), DATES),
    "pandas": (pd.Series(Y), FRAME.to_pandas()[["good", "coin", "vix"]], FRAME.to_pandas()["date"]),
    "arrow": (FRAME["y"], FRAME.select("good", "coin", "vix").to_arrow(), DATES),
    "text dates": (Y, SCORES, [str(d) for d in DATES]),
    "booleans": (Y == 1, SCORES, DATES),
}


@pytest.mark.parametrize("source", SOURCES)
def test_columns_of_every_library_are_judged_alike(answer, source):
    y, columns, time = SOURCES[source]
    assert numbers(judge(y, columns, time=time, baseline="vix")) == numbers(answer)


def test_tensors_are_judged_alike(answer):
    torch = pytest.importorskip("torch")
    actual = judge(torch.tensor(Y), tensors(torch), time=DATES, baseline=["vix"])
    assert numbers(actual) == numbers(answer)


def test_arrays_have_numbers_for_names():
    matrix = np.column_stack([SCORES["good"], SCORES["coin"]])
    (group,) = judge(Y, matrix).judgement.groups
    assert {m.name for m in group.models} == {"model 1", "model 2"}
    (group,) = judge(Y, SCORES["good"]).judgement.groups
    assert [m.name for m in group.models] == ["model"]


@pytest.mark.parametrize("kind", ["path", "text", "polars", "pandas", "mapping"])
def test_tables_are_judged_by_the_names_of_their_columns(answer, tmp_path, kind):
    FRAME.write_csv(tmp_path / "scores.csv")
    data = {
        "path": tmp_path / "scores.csv", "text": str(tmp_path / "scores.csv"), "polars": FRAME,
        "pandas": FRAME.to_pandas(), "mapping": FRAME.to_dict(as_series=False),
    }[kind]  # fmt: skip
    actual = judge("y", data=data, time="date", baseline="vix")
    assert numbers(actual) == numbers(answer)
    assert actual.judgement.title == "scores"


def test_long_tables_are_judged_by_the_names_of_their_columns(answer):
    rows = FRAME.unpivot(["good", "coin", "vix"], index=["date", "y"])
    actual = judge("y", "value", data=rows, model="variable", time="date", baseline="vix")
    assert numbers(actual) == numbers(answer)


def test_classes_by_array_and_by_prefix():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    p = {"a": rng.dirichlet(np.ones(3), 300) * 0.5 + 0.5 * np.eye(3)[y],
         "b": rng.dirichlet(np.ones(3), 300)}  # fmt: skip
    one = judge(y, p, classes=["x", "y", "z"], baseline="b")
    columns = {f"{m}_{c}": v[:, k] for m, v in p.items() for k, c in enumerate("xyz")}
    other = judge("t", data={"t": np.array(list("xyz"))[y]} | columns, scores_prefix=["a_", "b_"],
                  baseline="b")  # fmt: skip
    assert numbers(one) == numbers(other)
    (group,) = one.to_dict()["groups"]
    assert group["kind"] == "classes"
    assert [m["name"] for m in group["models"]] == ["a", "b"]
    alone = judge(y, p["a"], classes=["x", "y", "z"])
    assert alone.judgement.groups[0].models[0].name == "model"


def test_a_store_keeps_what_is_judged(stored, answer):
    kept = Store(stored)
    assert kept.campaigns()["mine"].keys() == {"good", "coin", "vix"}
    (group,) = ranked(kept, "mine").to_dict()["groups"]
    assert [m["estimates"] for m in group["models"]] == [x[2] for x in numbers(answer)[0]]


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("no_data", lambda: judge("y", "p")),
        ("no_data", lambda: judge(Y)),
        ("no_data", lambda: judge(Y, SCORES, drop="vix")),
        ("no_data", lambda: judge(Y, SCORES, scores_prefix="p_")),
        ("no_name", lambda: judge(Y, data=FRAME)),
        ("no_name", lambda: judge("y", data=FRAME, time=DATES)),
        ("no_name", lambda: judge("y", SCORES["good"], data=FRAME)),
        ("lengths", lambda: judge(Y[1:], SCORES)),
        ("lengths", lambda: judge(Y, SCORES, time=DATES[1:])),
        ("dimensions", lambda: judge(Y, {"a": np.zeros((len(Y), 2))})),
        ("dimensions", lambda: judge(Y, {"a": SCORES["good"]}, classes=["x", "y"])),
        ("different_classes", lambda: judge(Y, {"a": np.full((len(Y), 3), 1 / 3)}, classes=["x", "y"])),
        ("different_index", lambda: judge(pd.Series(Y), pd.Series(SCORES["good"])[::-1])),
        ("different_index", lambda: judge(
            pd.Series(Y), pd.DataFrame(SCORES, index=range(1, len(Y) + 1)))),
        ("scale", lambda: judge(Y, SCORES, scale="odds")),
        ("unknown_baseline", lambda: judge(Y, SCORES, baseline="vox")),
        ("not_probability", lambda: judge(Y, {"a": 3 * SCORES["good"]})),
        ("empty", lambda: judge([], [])),
        ("not_numeric", lambda: judge(Y, [object()] * len(Y))),
    ],
)  # fmt: skip
def test_what_cannot_be_judged(code, call):
    with pytest.raises(TruenessError) as error:
        call()
    assert error.value.code == code


# ------------------------------------------------------------------------------------------- answers


def test_answers_are_printed(answer):
    text = str(answer)
    assert "good leads" in text
    assert max(map(len, text.splitlines())) <= 110
    assert re.search(r"AUC", text)


def test_answers_are_frames_pages_and_figures(answer, tmp_path):
    go = pytest.importorskip("plotly.graph_objects")
    assert answer.to_frame()["name"].to_list() == [m[0] for m in numbers(answer)[0]]
    for suffix in (".html", ".md", ".tex", ".csv"):
        assert answer.report(tmp_path / f"page{suffix}").stat().st_size > 500
    assert answer.figures
    assert all(isinstance(figure, go.Figure) for figure in answer.figures)
    assert all(figure.data for figure in answer.figures)
    assert len(pl.read_csv(tmp_path / "page.csv")) == 3
    with pytest.raises(TruenessError):
        answer.report(tmp_path / "page.docx")


def test_notebooks_show_the_page_apart_from_their_own_style(answer):
    html = answer._repr_html_()
    assert html.startswith("<iframe")
    inside = re.search(r'srcdoc="([^"]*)"', html)[1]
    assert "&lt;html" in inside
    assert "<script" not in html


def test_further_questions_are_asked_where_the_runs_are(answer):
    assert isinstance(answer.store, MemoryStore)
    assert compare("good", "coin", store=answer.store).to_dict()["kind"] == "comparison"
    assert "good" in str(thresholds("good", store=answer.store, precision=0.3))
    assert show("good", store=answer.store).to_dict()["name"] == "good"
    assert calibrate("good", methods="platt", store=answer.store).to_frame().height


QUESTIONS = {
    "leaderboard": lambda store: leaderboard(store=store),
    "of a campaign": lambda store: leaderboard("mine", rank_by="auc", store=store),
    "show": lambda store: show("good", store=store),
    "compare": lambda store: compare("good", "coin", store=store),
    "thresholds": lambda store: thresholds("good", "coin", precision=0.5, store=store),
    "certify": lambda store: certify("good", precision=0.3, store=store),
    "calibrate": lambda store: calibrate("good", methods=["platt", "beta"], store=store),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_answer_can_be_shown(stored, question, tmp_path):
    actual = QUESTIONS[question](stored)
    assert isinstance(actual, Answer)
    assert "good" in str(actual)
    assert json.dumps(actual.to_dict(), allow_nan=False)
    assert actual.to_frame().height
    assert actual.report(tmp_path / "page.html").exists()
    assert isinstance(actual.figures, list)


def test_a_store_is_loaded_where_there_is_one(stored, tmp_path):
    assert len(load(stored).all_runs()[0]) == 3
    with pytest.raises(TruenessError) as error:
        load(tmp_path / "nothing")
    assert error.value.code == "no_store"


# -------------------------------------------------------------------------------------- the package


def test_public_names_are_there_and_listed():
    for name in trueness.__all__:
        assert getattr(trueness, name) is not None, name
    assert set(trueness.__all__) <= set(dir(trueness))
    assert re.fullmatch(r"\d+\.\d+.*", trueness.__version__)
    with pytest.raises(AttributeError):
        trueness.jugde  # noqa: B018
    assert (Path(trueness.__file__).parent / "py.typed").exists()


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_the_package_loads_next_to_nothing():
    heavy = ("numpy", "polars", "scipy", "pydantic", "torch", "sklearn", "plotly", "rich")
    code = f"import sys, trueness; print([m for m in {heavy} if m in sys.modules])"
    assert run_python(code) == "[]"


@pytest.mark.long
@pytest.mark.parametrize(
    "before",
    ["", "import trueness.judge.leaderboard", "import trueness.api", "import trueness.judge",
     "trueness.judge; import trueness.judge.compare as c; c.compare"],
)  # fmt: skip
def test_the_function_judge_is_called_whatever_was_imported(before):
    code = f"""
import trueness
{before}
from trueness import judge
y = [0, 1] * 60
for call in (trueness.judge, judge):
    print(call(y, [0.1, 0.4, 0.2, 0.3] * 30).judgement.groups[0].n)
"""
    assert run_python(code).split() == ["120", "120"]


def test_the_room_shows_the_signature_of_the_function():
    assert inspect.signature(trueness.judge) == inspect.signature(judge)


def test_functions_take_what_the_verbs_take():
    """One name per thing; what only a command line or only Python needs is listed here."""
    verb = set(inspect.signature(external.judge).parameters)
    function = set(inspect.signature(judge).parameters)
    only_verb = {"file", "label", "score", "identifier", "no_store", "output"}
    only_function = {"y", "scores", "data", "id", "classes"}
    assert verb - only_verb == function - only_function
    assert set(inspect.signature(comparing.compare).parameters) - {"output"} == set(
        inspect.signature(compare).parameters
    )


def test_public_functions_say_what_they_take():
    room = Path(trueness.__file__).parent / "api"
    for file in room.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                text = ast.get_docstring(node) or ""
                arguments = [a for a in node.args.args if a.arg != "self"]
                for argument in (*arguments, *node.args.kwonlyargs):
                    if len(node.args.kwonlyargs) > 1:
                        assert re.search(rf"\b{argument.arg}\b", text), (node.name, argument.arg)


# -------------------------------------------------------------------------------------------- JSON

ANSWERS = ("yes", "not_shown", "too_few")
ESTIMATE = {"value": float, "low": float, "high": float, "n": int, "k": int, "chosen_on": str,
            "measured_on": str, "n_candidates": int}  # fmt: skip


def check_estimate(e):
    assert set(e) >= set(ESTIMATE)
    for name, kind in ESTIMATE.items():
        known = e[name] is None and name in ("value", "low", "high", "k")
        assert known or isinstance(e[name], (int, float) if kind is float else kind), (name, e)
    assert (e["low"] is None) == (e["high"] is None)
    assert e["low"] is None or e["low"] <= e["high"]


def check_schema(content):
    """What docs/reference/json.md promises of schema 1."""
    assert content["schema"] == 1
    assert content["kind"] == "leaderboard"
    assert set(content) >= {"title", "groups", "problems", "failures"}
    for group in content["groups"]:
        assert set(group) >= {
            "title", "kind", "comparison_group", "part", "n", "base_rate", "confidence",
            "sorted_by", "n_candidates", "best_baseline", "verdict", "selection", "classes",
            "power", "access", "models",
        }  # fmt: skip
        for question in ("chance", "siblings", "best_baseline"):
            answer = group["verdict"][f"better_than_{question}"]
            assert answer["answer"] in ANSWERS
            assert answer["p"] is None or 0 <= answer["p"] <= 1
            assert answer["text"]
        for model in group["models"]:
            assert set(model) >= {
                "name", "ids", "key", "label", "baseline", "seed", "parameters", "seconds",
                "estimates", "scores", "difference_to_best_baseline", "selection", "findings",
                "muted",
            }  # fmt: skip
            assert isinstance(model["baseline"], bool)
            for e in model["estimates"].values():
                check_estimate(e)
            if model["difference_to_best_baseline"] is not None:
                check_estimate(model["difference_to_best_baseline"])
            for finding in model["findings"]:
                assert set(finding) >= {"code", "severity", "title", "evidence", "numbers"}
    json.dumps(content, allow_nan=False)


def test_json_of_a_judgement_keeps_its_promise(answer):
    check_schema(answer.to_dict())
    check_schema(judge([0, 1] * 5, [0.1, 0.2, 0.3, 0.15, 0.9] * 2).to_dict())  # too few for all
    rank = judge(Y, {n: 9 * v for n, v in SCORES.items()}, scale="rank")
    check_schema(rank.to_dict())


def test_json_of_stored_campaigns_keeps_the_same_promise(golden_market, golden_titles):
    check_schema(ranked(golden_market).to_dict())
    check_schema(ranked(golden_titles).to_dict())


def test_the_page_about_json_names_every_field(answer):
    page = (Path(trueness.__file__).parents[1] / "docs" / "reference" / "json.md").read_text()
    content = answer.to_dict()
    group = content["groups"][0]
    model = group["models"][0]
    for fields in (content, group, group["verdict"], model, model["estimates"]["auc"],
                   group["verdict"]["better_than_chance"]):  # fmt: skip
        for field in fields:
            assert f"`{field}`" in page, field
