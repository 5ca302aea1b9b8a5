"""The catalogue: each check is a module and a page, and everything else follows from them."""

import json
import re

import pytest

from tests.simulations import false_alarms
from trueness.checks import (
    CHECKS,
    LIMITS,
    SEVERITIES,
    VERSION,
    catalogue,
    explained,
    next_move,
    page_of,
    registry,
)
from trueness.checks.pages import paragraphs
from trueness.cli import main
from trueness.errors import TruenessError
from trueness.spec.kinds import KINDS as TASK_KINDS
from trueness.spec.kinds import spec_class

KINDS = {"binary", "classes", *TASK_KINDS}


def test_modules_and_pages_are_the_same():
    from pathlib import Path

    folder = Path(catalogue.__path__[0])
    modules = {p.stem for p in folder.glob("tru*.py")}
    assert modules == {p.stem for p in folder.glob("*.md")}
    assert modules == {page.stem for page in registry.PAGES.values()}
    for code, page in registry.PAGES.items():
        assert page.stem.startswith(code.lower())


@pytest.mark.parametrize("code", CHECKS)
def test_a_page_says_what_its_check_is(code):
    check, page = CHECKS[code], page_of(code)
    assert re.fullmatch(r"TRU\d{3}", code)
    assert page.startswith(f"# {code}: {check.title}\n\n**Severity.** {check.severity}.\n")
    assert list(paragraphs(code)) == [
        "Severity", "What it saw", "What it means", "Likely causes", "Next move", "False alarms", "Power",
    ]  # fmt: skip
    assert all(paragraphs(code).values())
    for limit in check.limits:
        assert f"`{limit.name}`" in page, limit.name
    assert check.severity in SEVERITIES
    assert set(check.applies_to) <= KINDS


FIELDS = {
    name
    for spec in map(spec_class, TASK_KINDS)
    for shape in spec.model_json_schema()["$defs"].values()
    for name in shape.get("properties", {})
}


@pytest.mark.parametrize("code", CHECKS)
def test_a_page_names_settings_that_exist(code):
    named = re.findall(r"`(?:task|model|loss|recipe|evaluation)\.(\w+)", page_of(code))
    assert set(named) <= FIELDS


def test_codes_limits_and_names_are_distinct():
    assert list(CHECKS) == sorted(CHECKS)
    names = [limit.name for check in CHECKS.values() for limit in check.limits]
    assert sorted(names) == sorted(LIMITS)
    assert all(limit.meaning for limit in LIMITS.values())


def test_the_version_follows_from_what_checks_declare(monkeypatch):
    import dataclasses

    code = next(iter(CHECKS))
    for change in ({"version": CHECKS[code].version + 1}, {"severity": "note"}, {"limits": ()}):
        changed = dataclasses.replace(CHECKS[code], **change)
        monkeypatch.setitem(registry.CHECKS, code, changed)
        assert registry._version() != VERSION
        monkeypatch.undo()
    assert registry._version() == VERSION


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"width": 1}, "unknown limit 'width'"),
        ({"texts_per_class": 2.5}, "limit texts_per_class is 2.5; a whole number"),
        ({"texts_per_class": True}, "a whole number"),
        ({"drift_ratio": "high"}, "limit drift_ratio is 'high'; a number"),
        ({"drift_ratio": float("nan")}, "must be at least 0"),
        ({"drift_ratio": -1.0}, "must be at least 0"),
    ],
)
def test_wrong_limits_are_refused(content, words):
    with pytest.raises(TruenessError, match=words) as refused:
        registry.moved_limits(content)
    assert refused.value.code == "limit"


def test_limits_at_their_default_are_not_moved():
    assert registry.moved_limits({"texts_per_class": 5, "drift_ratio": 2}) == {"drift_ratio": 2}


# ---------------------------------------------------------------------------------------- explaining


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def test_explain_lists_every_check_with_severity_and_title(capsys):
    code, out, _ = call(capsys, "explain")
    assert code == 0
    for check in CHECKS.values():
        (line,) = [line for line in out.splitlines() if check.code in line]
        assert check.severity in line
        assert check.title in line
    _, out, _ = call(capsys, "explain", "--json")
    content = json.loads(out)
    assert content["schema"] == 1
    assert [one["code"] for one in content["checks"]] == list(CHECKS)


def test_explain_prints_the_page(capsys, tmp_path):
    code, out, _ = call(capsys, "explain", "tru001")
    assert code == 0
    assert "TRU001: collapsed scores" in out
    assert " ".join(out.split()).count(next_move("TRU001").split(".")[0]) == 1
    _, out, _ = call(capsys, "explain", "TRU101", "--json")
    assert json.loads(out)["page"] == page_of("TRU101")
    assert json.loads(out)["limits"] == {"shared_texts": 0.01}
    code, out, err = call(capsys, "explain", "TRU999")
    assert (code, out, err.count("\n")) == (2, "", 1)
    call(capsys, "explain", "TRU001", "--report", tmp_path / "page.html")
    assert "collapsed_width" in (tmp_path / "page.html").read_text()


def test_an_unknown_check_is_refused():
    with pytest.raises(TruenessError) as refused:
        explained("TRU999")
    assert refused.value.code == "no_check"


# -------------------------------------------------------------------------------------- false alarms


@pytest.mark.parametrize("code", CHECKS)
def test_a_page_tells_the_measured_rate_of_false_alarms_and_the_power(code):
    lines = false_alarms.sentences(code, false_alarms.read())
    page = page_of(code).rstrip("\n")
    assert page.endswith(lines), "run python -m tests.simulations.false_alarms pages"


@pytest.mark.parametrize("code", CHECKS)
def test_what_is_usual_among_healthy_runs_is_a_note(code):
    assert not false_alarms.is_usual(code, false_alarms.read()) or CHECKS[code].severity == "note"
