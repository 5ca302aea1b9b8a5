"""Words, tables and the page about titles: what they say is what was measured."""

import io
import shutil
import subprocess

import numpy as np
import pytest
from rich.console import Console

from trueness.errors import StoreError, TruenessError
from trueness.evaluation import Estimate, compare_many, compare_slices, measure_slices
from trueness.report.study_page import show_sections
from trueness.judge.titles import (
    comparison_sections,
    comparison_verdict,
    methods_sections,
    methods_verdict,
    slices_sections,
    slices_verdict,
    write_titles_page,
)
from trueness.judge.titles.figures import confusion, differences, scores_by_language
from trueness.report.titles_progress import TitlesProgress

CLASSES = ("audio & video", "<books>", "cables")


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 3000)
    language = np.repeat(["en", "de", "fi", "ja"], [1500, 900, 540, 60])
    plain = np.where(rng.random(3000) < np.where(language == "en", 0.9, 0.5), y, (y + 1) % 3)
    lifted = np.where((language != "en") & (rng.random(3000) < 0.4), y, plain)
    hurt = np.where((language == "en") & (rng.random(3000) < 0.3), (y + 1) % 3, lifted)
    return y, {"plain": plain, "lifted": lifted, "hurt": hurt}, language, np.arange(3000) // 2


@pytest.fixture(scope="module")
def runs(texts):
    y, predicted, language, cluster = texts
    return {
        name: measure_slices(y, 3.0 * np.eye(3)[p], language, cluster, classes=CLASSES, draws=100)
        for name, p in predicted.items()
    }


@pytest.fixture(scope="module")
def methods(texts):
    return compare_many(*texts, reference="plain", n_classes=3, draws=200)


def _printed(sections):
    console = Console(file=io.StringIO(), width=200)
    show_sections(console, [("titles", sections)])
    return console.file.getvalue()


def test_the_answer_is_one_sentence(methods):
    told = methods_verdict(methods)
    gain = methods.methods["lifted"].against["worst_language"].simultaneous
    assert told.startswith(
        f"lifted ({gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]) lifts the"
    )
    assert "English loses less than 0.3 points" in told
    assert "hurt lifts it but hurts English" in told
    assert "The leader is lifted" in told


def test_no_answer_is_told_as_well(texts):
    y, runs, language, cluster = texts
    pair = {name: runs[name] for name in ("plain", "hurt")}
    found = compare_many(y, pair, language, cluster, reference="plain", n_classes=3, draws=200)
    assert methods_verdict(found).startswith("No method is shown to lift the worst language")


def test_methods_are_told_in_words(methods):
    (section,) = methods_sections(methods, {name: f"encoder {name}" for name in methods.methods})
    legend = section.tables[1]
    assert [row[0] for row in legend.rows] == methods.ranked
    assert legend.rows[0][1] == f"encoder {methods.ranked[0]}"
    names = {name: name for name in methods.methods}
    assert len(methods_sections(methods, names)[0].tables) == 1


def test_a_single_language_is_no_mean_of_languages(texts):
    y, _, language, cluster = texts
    one = language == "en"
    found = measure_slices(y[one], np.eye(3)[y[one]], language[one], cluster[one], classes=CLASSES)
    assert "in en, the only language" in slices_verdict("run", found)
    assert "worst" not in slices_verdict("run", found)


def test_a_stored_run_without_a_language_of_its_own_is_told():
    out = io.StringIO()
    estimate = Estimate.proportion(3, 4).to_dict()
    TitlesProgress(Console(file=out, width=200)).stored(
        "A-1", {"estimates": {"macro_f1": estimate}, "seconds": 1.0}
    )
    assert "macro f1 3/4" in out.getvalue()
    assert "language" not in out.getvalue()


def test_two_runs_are_told_by_language(texts):
    y, runs, language, cluster = texts
    found = compare_slices(
        y, runs["lifted"], runs["plain"], language, cluster, n_classes=3, draws=200
    )
    told = comparison_verdict("lifted", "plain", found)
    assert told.startswith("lifted against plain: better in de and fi, not told apart in en;")
    assert "English +0.000 [+0.000, +0.000], not told apart" in told
    printed = _printed(comparison_sections("lifted", "plain", found))
    assert "1,500 clusters" in printed


def test_tables_show_counts_and_intervals(runs, methods):
    found = runs["plain"]
    printed = _printed(slices_sections("plain", found) + methods_sections(methods))
    one = found.overall.by_class["<books>"].precision
    assert f"{one.k}/{one.n}" in printed
    assert "other: ja 60; fewer than 100 texts each" in printed
    assert (
        f"{found.languages['fi'].macro_f1.low:.3f}, {found.languages['fi'].macro_f1.high:.3f}]"
        in printed
    )
    assert found.worst in slices_verdict("plain", found)


def test_without_a_language_of_its_own_that_is_told(texts):
    y, runs, language, cluster = texts
    found = measure_slices(
        y, np.eye(3)[runs["plain"]], language, cluster, classes=CLASSES, draws=20, min_rows=5000
    )
    assert "no language has 5000 texts" in slices_verdict("plain", found)


def test_pictures_hold_the_numbers(runs, methods):
    dots = scores_by_language(runs).data[0]
    found = runs["plain"].languages
    np.testing.assert_allclose(dots.y, [one.macro_f1.value for one in found.values()])
    low = np.array(dots.y) - np.array(dots.error_y.arrayminus)
    np.testing.assert_allclose(low, [one.macro_f1.low for one in found.values()])
    shares = np.array(confusion(runs["plain"].overall, CLASSES).data[0].z)
    np.testing.assert_allclose(shares.sum(axis=1), 100)
    cells = differences(methods).data[0]
    assert list(cells.y) == [n for n in methods.ranked if n != "plain"]
    at = list(cells.x).index("fi")
    expected = methods.methods[cells.y[0]].languages_against["fi"]
    assert cells.z[0][at] == pytest.approx(100 * expected.pointwise.value)
    assert ("▲" in cells.text[0][at]) == (expected.verdict == "better")


def test_the_page_is_whole_and_escapes_names(runs, methods, tmp_path):
    path = tmp_path / "page.html"
    write_titles_page(path, runs, methods, title="Offers & titles")
    html = path.read_text()
    assert "Offers &amp; titles" in html
    assert "<books>" not in html.replace("\\u003cbooks\\u003e", "")
    assert html.count("classes in ") == 4 * len(runs)
    write_titles_page(path, {"plain": runs["plain"]})
    assert "Methods against" not in path.read_text()


def test_pages_that_cannot_be_written_are_refused(runs, tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        write_titles_page(tmp_path / "no" / "page.html", runs)
    with pytest.raises(TruenessError, match="at least one"):
        write_titles_page(tmp_path / "page.html", {})


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_every_picture_is_drawn(runs, methods, tmp_path):
    page = tmp_path / "page.html"
    write_titles_page(page, runs, methods)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000"]  # fmt: skip
    drawn = subprocess.run(
        ["chromium", *flags, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert drawn.count('class="main-svg"') >= 3 * (3 + 3 * len(runs))
