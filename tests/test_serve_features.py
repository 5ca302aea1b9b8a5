"""The workbench, in process: inputs of runs."""

import json
import re

import numpy as np
import polars as pl
import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

import trueness
from tests.test_cli import call
from tests.test_serve import HOSTILE, _client, _whole, command_of, served  # noqa: F401 - a fixture
from tests.test_serve_runs import _figures, trained  # noqa: F401 - a fixture
from trueness.document.numbers import decimal
from trueness.errors import TruenessError
from trueness.examples import PARTS, Examples
from trueness.judge.feature_values import feature_values
from trueness.serve.workbench import Workbench
from trueness.store import Store


def test_a_store_without_columns_says_so(tmp_path, golden_titles):
    with _client(Workbench.of(tmp_path / "store")) as client:
        assert "trueness run demo" in client.get("/features").text
    with _client(Workbench.of(golden_titles.root)) as client:
        key = golden_titles.all_runs()[0][0].key
        assert client.get(f"/features?run={key}").status_code == 404


def test_the_audit_is_that_of_the_command_line(trained, capsys):  # noqa: F811
    (key,) = Store(trained).campaigns()["tiny"]["T-01"]
    with _client(Workbench.of(trained)) as client:
        page = _whole(client, f"/features?run={key}").text
        code, out, _ = call(capsys, *command_of(page), "--json")
        assert code == 0
        actual = json.loads(out)
        plain = re.sub(r"<[^>]+>", "", page)
        assert (
            f"{len(actual['associated_with_label'])} of {len(actual['features'])} features" in plain
        )
        name = actual["features"][3]["name"]
        assert f"/features?run={key}&amp;feature={name}" in page
        source = Store(trained).run(key).record["data"]["source"]
        _, out, _ = call(capsys, "features", "audit", "--tier", "a20", "--data", source,
                         "--protocol", "walk_forward", "--json")  # fmt: skip
        assert json.loads(out) == actual
        one = _whole(client, f"/features?run={key}&feature={name}").text
        _, out, _ = call(capsys, *command_of(one), "--json")
        values = json.loads(out)
        assert (values["feature"], values["run"]) == (name, "T-01")
        assert decimal(values["relation"]["auc"]) in one
        assert "test" not in {part["part"] for part in values["parts"]}
        days = [x for figure in _figures(one) for trace in figure["data"] for x in trace["x"]]
        assert "test part" not in one
        assert max(x for x in days if isinstance(x, str)) < "1994-03-01", "days of the sealed part"
        for wrong in (f"feature={HOSTILE}", "feature=../x", f"feature={'x' * 300}"):
            answer = client.get(f"/features?run={key}&{wrong}")
            assert answer.status_code == 400
            assert "<script>alert" not in answer.text
        assert client.get("/features?run=nothing").status_code == 404


def test_data_that_are_nowhere_are_told(served):  # noqa: F811
    assert 'class="warning"' in _whole(served[1], "/features").text


def test_columns_of_a_table_are_audited_and_their_names_are_no_markup(tmp_path, capsys):
    rng = np.random.default_rng(1)
    x, name = rng.normal(size=400), f"{HOSTILE} x"
    frame = pl.DataFrame({name: x, "z": rng.normal(size=400), "y": (x > 0.8).astype(int)})
    frame.write_csv(tmp_path / "rows.csv")
    (tmp_path / "one.yaml").write_text(
        f"campaign: one\ndata: {tmp_path}/rows.csv\ndefaults:\n  task: {{kind: table, label: y}}\n"
        "experiments: [{id: one, model: logit}]\n"
    )
    trueness.run(tmp_path / "one.yaml", store=tmp_path / "store", workers=0, progress=False)
    (key,) = Store(tmp_path / "store").campaigns()["one"]["one"]
    with _client(Workbench.of(tmp_path / "store")) as client:
        for address in (f"/features?run={key}", f"/features?run={key}&feature={name}"):
            page = _whole(client, address).text
            assert "&lt;script&gt;" in page
            assert "<script>alert" not in page
            assert "<img" not in page
            code, out, _ = call(capsys, *command_of(page), "--json")
            assert code in (0, 1)
            assert name in out.replace('\\"', '"')
        assert "AUC of the label by it alone" in page
        frame.tail(300).write_csv(tmp_path / "rows.csv")
    with _client(Workbench.of(tmp_path / "store")) as client:
        assert "was run on any more" in _whole(client, f"/features?run={key}").text


def _examples(x, y, **more):
    n = len(x)
    parts = np.full((1, n), PARTS.index("train"), np.int8)
    values = {"when": np.datetime64("2020-01-01") + np.arange(n), "group": None} | more
    return Examples(x.astype(np.float32)[:, None], np.arange(n), 1, y.astype(np.uint8),
                    parts=parts, features=("x",), **values)  # fmt: skip


def test_a_feature_that_tells_the_label_stands_out_of_its_null():
    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.3).astype(int)
    record = {}
    for name, x in (("label", y + rng.normal(size=2000)), ("noise", rng.normal(size=2000))):
        _, beside, line = feature_values(_examples(x, y), "x").pictures()
        null, mark = beside.parts[1].data
        record[name] = mark["x"][0], max(null["x"][i] for i, n in enumerate(null["y"]) if n)
        assert sum(null["y"]) == 500
        assert len(line.data[0]["x"]) == 1500
    assert record["label"][0] > 0.7 > record["label"][1]
    assert record["noise"][0] <= record["noise"][1]


def test_columns_without_values_times_or_labels_are_shown_as_far_as_they_can_be():
    y = np.arange(60) % 2
    empty = feature_values(_examples(np.full(60, np.nan), y), "x").pictures()
    assert "no values" in empty[0].text
    one_class = feature_values(_examples(np.arange(60.0), np.zeros(60)), "x").pictures()
    assert "Too few labels" in one_class[0].text
    timeless = feature_values(_examples(np.ones(60), y, when=None), "x").pictures()
    assert len(timeless) == 2
    with pytest.raises(TruenessError) as caught:
        feature_values(_examples(np.ones(60), y), "z")
    assert caught.value.code == "no_feature"
