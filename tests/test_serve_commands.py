"""The command that each page of the workbench offers gives what the page shows."""

import json
import re
import shutil
from itertools import pairwise

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from markupsafe import escape

from tests.golden import named
from tests.test_cli import call
from tests.test_serve import _client, _rows, _whole, command_of, served  # noqa: F401 - a fixture
from tests.test_serve_runs import trained  # noqa: F401 - a fixture
from trueness.document.numbers import estimate, share
from trueness.errors import TruenessError
from trueness.evaluation import Estimate
from trueness.judge.choice import Choice, Fields, one_group
from trueness.judge.leaderboard import leaderboard
from trueness.serve.workbench import Workbench
from trueness.store import Store
from trueness.store.leases import Leases
from trueness.store.ledger import FILE

ADDRESSES = [
    "", "?where=auc>0.6", "?where=auc>0.55&where=loss.kind!=focal", "?search=FOREST",
    "?kind=candidates", "?kind=baselines&sort=auc", "?sort=auc", "?sort=auc&order=ascending",
    "?sort=calibration_error", "?sort=parameters", "?sort=parameters&order=descending",
    "?sort=model.d_model&order=descending", "?sort=label&where=parameters>0", "?order=ascending",
    "?sort=id&columns=seconds&columns=recall@30&columns=loss", "?by=loss&sort=auc",
    "?campaign=golden&sort=created", "?where=loss.gamma=none&kind=candidates", "?where=auc>2",
    "?sort=precision@0.5&where=precision@0.5>=0&page=1",
]  # fmt: skip


def _plain(page):
    return re.sub(r"<[^>]+>", "", page).replace("\u00a0", " ")


@pytest.mark.long
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_leaderboard_and_its_command_show_the_same(served, capsys, address):  # noqa: F811
    bench, client = served
    page = _whole(client, f"/leaderboard{address}").text
    words = command_of(page)
    code, out, err = call(capsys, *words, "--json")
    assert (code, err) == (0, "")
    (group,) = json.loads(out)["groups"]
    every = len(named(Store(bench.root)))
    plain, keys = _plain(page), [model["key"] for model in group["models"]]
    assert str(escape(group["verdict"]["better_than_best_baseline"]["text"])) in plain
    assert f"{len(keys)} of {every} runs shown" in plain
    if address:
        _, out, _ = call(capsys, *words)
        shown = len(keys), every
        filtered = "?by=" in address or Choice() != _choice(words)
        assert (f"{shown[0]} of {shown[1]} runs shown" in " ".join(out.split())) == filtered
    if "by=" in address:
        best = {}
        for model in group["models"]:
            best.setdefault(model["fields"]["loss"], model["name"])
        assert all(f">{name}</a>" in page for name in best.values())
        return
    assert _rows(page) == keys
    for model in group["models"]:
        top = model["estimates"]["precision@30"]
        assert share(Estimate.from_dict(top)) in plain
        difference = model["difference_to_best_baseline"]
        if difference is not None:
            assert estimate(Estimate.from_dict(difference), signed=True) in plain


def _choice(words):
    names = {"--search": "search", "--kind": "kind", "--sort": "sort", "--order": "order"}
    given = {names[a]: b for a, b in pairwise(words) if a in names}
    several = [tuple(b for a, b in pairwise(words) if a == option)
               for option in ("--where", "--column")]  # fmt: skip
    return Choice(where=several[0], columns=several[1], **given)


def test_what_is_judged_does_not_depend_on_what_is_shown(served, capsys):  # noqa: F811
    bench, _ = served
    words = "leaderboard", "--store", bench.root, "--json"
    whole, some = (
        json.loads(call(capsys, *words, *more)[1])["groups"][0]
        for more in ((), ("--kind", "baselines", "--sort", "seconds", "--column", "loss"))
    )
    same = ("verdict", "selection", "power", "n_candidates", "best_baseline", "sorted_by")
    assert {name: whole[name] for name in same} == {name: some[name] for name in same}
    assert whole["shown"] is None
    assert some["shown"] == {
        "n": len(some["models"]), "of": len(whole["models"]), "where": [], "search": None,
        "kind": "baselines", "sort": "seconds", "order": None, "columns": ["seconds", "loss"],
    }  # fmt: skip
    assert all(model["baseline"] for model in some["models"])
    times = [model["fields"]["seconds"] for model in some["models"]]
    assert times == sorted(times)


def test_the_command_of_one_of_several_groups_names_it(
    golden_market, golden_titles, tmp_path, capsys
):  # fmt: skip
    both = tmp_path / "store"
    shutil.copytree(golden_market.root, both)
    for key in named(golden_titles, "golden-titles"):
        shutil.copytree(golden_titles.run(key).folder, both / "runs" / key)
    bench = Workbench.of(both)
    with _client(bench) as client:
        _whole(client, "/")
        for group in bench.shelf.current_view().groups:
            page = _whole(client, f"/leaderboard?group={group}&sort=seconds").text
            _, out, _ = call(capsys, *command_of(page), "--json")
            (one,) = json.loads(out)["groups"]
            assert one["comparison_group"] == group
            assert [model["key"] for model in one["models"]] == _rows(page)
    code, out, _ = call(capsys, "leaderboard", "--store", both, "--sort", "precision@30",
                        "--json")  # fmt: skip
    assert code == 0, "an estimate that one of the groups has"
    assert len(json.loads(out)["groups"]) == 2


BAD = {
    "unknown field": (["--where", "aucc>0.6"], "no_field"),
    "unknown column": (["--column", "recal@30"], "no_field"),
    "unknown sort": (["--sort", "loss.kin"], "no_field"),
    "what is judged": (["--sort", "bound"], "judged_field"),
    "no operator": (["--where", "auc"], "condition"),
    "no value": (["--where", "auc>"], "condition"),
    "no field": (["--where", ">0.6"], "condition"),
    "order": (["--order", "up"], "order"),
    "kind": (["--kind", "candidate"], "kind"),
    "group": (["--group", "zzz"], "no_group"),
    "by": (["--by", "loss", "--where", "auc>0.6"], "by_and_rows"),
    "rank": (["--rank-by", "accuracy"], "no_estimate"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_status_2(served, capsys, case):  # noqa: F811
    bench, _ = served
    words, _ = BAD[case]
    code, out, err = call(capsys, "leaderboard", *words, "--store", bench.root)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not (bench.root / FILE).exists(), "nothing was evaluated"


@pytest.mark.parametrize("case", [name for name in BAD if name != "by"])
def test_bad_input_has_a_code(golden_market, case):
    words, code = BAD[case]
    names = {"--group": "group", "--rank-by": "rank_by"}

    def asked():
        if words[0] in names:
            return leaderboard(golden_market, **{names[words[0]]: words[1]})
        return leaderboard(golden_market, choice=_choice(words))

    with pytest.raises(TruenessError) as caught:
        asked()
    assert caught.value.code == code


def test_an_unknown_field_is_answered_with_the_nearest_name(served, capsys):  # noqa: F811
    _, _, err = call(capsys, "leaderboard", "--where", "recipe.learningrate<1", "--store",
                     served[0].root)  # fmt: skip
    assert "recipe.learning_rate" in err


def test_runs_without_a_value_come_last_in_either_order(golden_market):
    fields = Fields.of_runs(golden_market.all_runs()[0])
    for order in ("ascending", "descending"):
        models = fields.chosen(Choice(sort="loss.gamma", order=order), {})
        known = [fields.values("loss.gamma")[model.key] is not None for model in models]
        assert known == sorted(known, reverse=True)
        assert 0 < sum(known) < len(known)


def test_the_beginning_of_several_groups_is_ambiguous():
    assert one_group(["abc", "bcd"], "a") == "abc"
    with pytest.raises(TruenessError) as caught:
        one_group(["abc", "abd"], "ab")
    assert caught.value.code == "ambiguous"


def test_python_shows_the_rows_of_the_command_line(served, capsys):  # noqa: F811
    from trueness import leaderboard as asked

    root = served[0].root
    answer = asked(store=root, where="auc>0.55", sort="parameters", order="descending").to_dict()
    _, out, _ = call(capsys, "leaderboard", "--where", "auc>0.55", "--sort", "parameters",
                     "--order", "descending", "--store", root, "--json")  # fmt: skip
    (one,), (other,) = answer["groups"], json.loads(out)["groups"]
    assert [m["key"] for m in one["models"]] == [m["key"] for m in other["models"]]
    with pytest.raises(TruenessError) as caught:
        asked(store=root, by="loss", search="x")
    assert caught.value.code == "by_and_rows"


# -------------------------------------------------------------------------------- pages of no measure


def test_the_first_page_and_its_command_show_the_same(trained, capsys):  # noqa: F811
    with _client(Workbench.of(trained)) as client:
        page = client.get("/").text
        code, out, _ = call(capsys, *command_of(page), "--json")
        content = json.loads(out)
        assert (code, content["kind"], content["runs"]) == (
            0,
            "store_status",
            len(content["recent"]),
        )
        shown = re.findall(r'href="/run/([0-9a-f]{12})"', page)
        assert [one["key"] for one in content["recent"]] == list(dict.fromkeys(shown))
        for one in content["accesses"]:
            assert one["verb"] in page
        _, out, _ = call(capsys, *command_of(page))
        for text in ("Nothing runs now.", "Recent runs", "Ledger of evaluations", "T-01"):
            assert text in out


NOTE = {
    "began": "2026-01-01T00:00:00", "stage": "networks", "done": 25.0, "total": 100.0,
    "running": ["T-01"], "trained": 3, "failed": 1, "word": "loss 0.5", "seconds": 60.0,
    "memory": 3_500_000_000,
}  # fmt: skip


def test_a_run_in_training_and_its_command_show_the_same(tmp_path, capsys):
    store = Store(tmp_path / "store")
    key = "0123456789ab"
    store.prepare()
    store.write_campaign("tiny", {"T-01": key})
    leases = Leases(store)
    leases.write_status("tiny", NOTE)
    assert leases.acquire(key)
    try:
        with _client(Workbench.of(store.root)) as client:
            page = _whole(client, f"/running/{key}").text
            code, out, _ = call(capsys, *command_of(page), "--json")
            content = json.loads(out)
            assert (code, content["kind"], content["name"]) == (0, "run_status", "T-01")
            assert not content["stored"]
            assert content["processes"][0]["stage"] == "networks"
            _, out, _ = call(capsys, "status", "--run", "tiny/T-01", "--store", store.root)
            for text in ("Held by process", "networks", "3 min"):
                assert text in out
                assert text in page
    finally:
        leases.release(key)
        leases.write_status("tiny", None)


@pytest.mark.parametrize(
    "words",
    [("--run", "nobody"), ("tiny", "--run", "T-01"), ("--run", "T-01", "--id", "T-01"),
     ("--priority", "P1")],
)  # fmt: skip
def test_a_status_of_nothing_is_refused(trained, capsys, words):  # noqa: F811
    code, out, err = call(capsys, "status", *words, "--store", trained)
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.long
def test_every_page_of_a_run_offers_a_command_that_answers(trained, capsys):  # noqa: F811
    (key,) = Store(trained).campaigns()["tiny"]["T-01"]
    places = ["/", "/leaderboard", "/features", f"/features?run={key}", f"/run/{key}",
              f"/run/{key}/prices", f"/run/{key}/thresholds", f"/run/{key}/files",
              f"/running/{key}"]  # fmt: skip
    with _client(Workbench.of(trained)) as client:
        for place in places:
            code, out, _ = call(capsys, *command_of(_whole(client, place).text))
            assert code in (0, 1), place
            assert out, place


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--feature", "rsi_14"], 2), (["--run", "nobody"], 2), (["--run", "T-01", "--tier", "a20"], 2),
     (["--run", "T-01", "--feature", "nothing"], 2), (["demo", "--run", "T-01"], 2)],
)  # fmt: skip
def test_inputs_of_nothing_are_refused(trained, capsys, words, code):  # noqa: F811
    actual, out, err = call(capsys, "features", "audit", *words, "--store", trained)
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert (actual, out, len(lines)) == (code, "", 1)


def test_texts_have_no_columns(golden_titles):
    from trueness.bundle.inputs import audit_inputs
    from trueness.callback import Callback

    run = golden_titles.all_runs()[0][0]
    with pytest.raises(TruenessError) as caught:
        audit_inputs(run, "one", {}, Callback())
    assert caught.value.code == "no_columns"
