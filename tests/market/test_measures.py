"""Measures of windows: the same compiled and interpreted, and the same from disk as computed."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trueness
from trueness.compiling import compiled, interpreted
from trueness.errors import StoreError
from trueness.files import read_json, read_tensors, sha256_of, write_json, write_tensors
from trueness.market import emd, feature_table, load_bars
from trueness.market import kernels as k
from trueness.market.measures import FEW_ROWS, Measures

CALLS = {
    "permutation_entropy": (k.permutation_entropy, 20, 4),
    "sample_entropy": (k.sample_entropy, 30),
    "approximate_entropy": (k.approximate_entropy, 20),
    "higuchi_dimension": (k.higuchi_dimension, 40, 10),
    "lyapunov_exponent": (k.lyapunov_exponent, 40, 3, 20),
    "correlation_dimension": (k.correlation_dimension, 20, 3),
    "fluctuation_exponent": (k.fluctuation_exponent, 40, k.DFA_SCALES),
    "multifractal_exponents": (k.multifractal_exponents, 120, k.MFDFA_SCALES, k.MFDFA_POWERS),
    "mode_measures": (emd.mode_measures, 40),
}


@st.composite
def closes(draw):
    """Prices that wander, with ties, plateaus and stretches that do not move."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    x = rng.standard_normal(124).cumsum() * draw(st.sampled_from([1e-4, 0.1, 1.0])) + 50
    decimals = draw(st.sampled_from([None, 0, 1, 2]))
    x = x if decimals is None else x.round(decimals)
    flat = draw(st.integers(0, 60))
    x[60 : 60 + flat] = x[60]
    return x


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=15, deadline=None)
@given(closes())
def test_interpreted_kernels_give_the_bits_of_compiled_ones(name, x):
    kernel, n, *options = CALLS[name]
    rows = x[len(x) - n - 2 :]
    with np.errstate(all="ignore"):
        fast = kernel(rows, n, *options)
        with interpreted():
            slow = kernel(rows, n, *options)
    np.testing.assert_array_equal(slow, fast)


def test_a_kernel_calls_others_in_both_ways():
    @compiled
    def outer(x):
        return k.total(x) + 1

    with interpreted():
        assert outer(np.ones(3)) == 4
        assert "dispatcher" not in vars(outer)
    assert outer(np.ones(3)) == 4
    assert len(outer.dispatcher.signatures) == 1


@pytest.mark.long
def test_a_full_disk_keeps_no_kernels_and_stops_none(tmp_path):
    code = (
        "import resource, signal, numpy as np; from trueness.market import kernels as k;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "assert np.isfinite(k.sample_entropy(np.arange(40.0) % 7, 30)[-1])"
    )
    there = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=there)
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and one.stat().st_size]


@pytest.mark.long
@pytest.mark.parametrize("left", [0, 20])
def test_damage_of_what_numba_keeps_stops_no_kernel(tmp_path, left):
    code = (
        "import numpy as np; from trueness.market import kernels as k;"
        "assert np.isfinite(k.higuchi_dimension(np.arange(40.0) % 7, 20, 5)[-1])"
    )
    there = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=there)
    kept = list(tmp_path.rglob("*.nbi"))
    assert kept
    for one in kept:
        os.truncate(one, left)
    subprocess.run([sys.executable, "-c", code], check=True, env=there)


def _random(n=400, seed=0):
    return np.random.default_rng(seed).standard_normal(n).cumsum() + 80


def _all(closes, folder, version="1"):
    measures = Measures(closes, folder, version)
    made = {name: measures.of(*call) for name, call in CALLS.items()}
    measures.keep()
    return made


@pytest.mark.parametrize("more", [1, FEW_ROWS, FEW_ROWS + 1, 100])
def test_bars_that_were_added_change_nothing_but_the_time(tmp_path, more):
    x = _random()
    _all(x[: len(x) - more].copy(), tmp_path)
    (file,) = tmp_path.iterdir()
    longer, fresh = _all(x, tmp_path), _all(x, None)
    for name in CALLS:
        np.testing.assert_array_equal(longer[name], fresh[name])
    assert list(tmp_path.iterdir()) == [file]
    again = _all(x, tmp_path)
    for name in CALLS:
        np.testing.assert_array_equal(again[name], fresh[name])


def test_one_new_bar_loads_no_numba(tmp_path):
    x = _random(300)
    _all(x[:-1].copy(), tmp_path)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np; from pathlib import Path;"
        "from tests.market.test_measures import CALLS, Measures;"
        f"x = np.load({str(tmp_path / 'x.npy')!r});"
        f"m = Measures(x, Path({str(tmp_path)!r}), '1');"
        "[m.of(*call) for call in CALLS.values()]; assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_measure_that_is_not_asked_for_stays_known(tmp_path):
    """Two bundles, one of which reads few columns, take turns every day."""
    x = _random()
    expected = _all(x[:-2].copy(), tmp_path)
    few = Measures(x[:-1].copy(), tmp_path, "1")
    few.of(*CALLS["sample_entropy"])
    few.keep()
    (file,) = tmp_path.iterdir()
    tensors, _ = read_tensors(file)
    assert len(tensors) == len(CALLS) + 1
    assert sorted({len(one) for one in tensors.values()}) == [len(x) - 2, len(x) - 1]
    for name, values in _all(x, tmp_path).items():
        np.testing.assert_array_equal(values[: len(x) - 2], expected[name])
        np.testing.assert_array_equal(values, _all(x, None)[name])


def test_revised_closes_are_computed_again_from_there_on(tmp_path):
    x = _random()
    _all(x, tmp_path)
    revised = x.copy()
    revised[-30:] *= 1.01
    for name, values in _all(revised, tmp_path).items():
        np.testing.assert_array_equal(values, _all(revised, None)[name])


def test_a_shorter_series_reads_but_does_not_replace_what_is_known(tmp_path):
    x = _random()
    _all(x, tmp_path)
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    for name, values in _all(x[:300].copy(), tmp_path).items():
        np.testing.assert_array_equal(values, _all(x[:300].copy(), None)[name])
    assert file.read_bytes() == before


def test_other_code_and_damage_begin_anew(tmp_path):
    x = _random()
    expected = _all(x, tmp_path)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    for name, values in _all(x, tmp_path).items():
        np.testing.assert_array_equal(values, expected[name])
    assert file.read_bytes() != content
    _all(x, tmp_path, "2")
    assert len(list(tmp_path.iterdir())) == 2


DAMAGES = {
    "no closes": lambda t: {n: t[n] for n in t if n != "closes"},
    "no rows": lambda t: {**t, "closes": t["closes"].reshape(1, -1)},
    "other columns": lambda t: {n: t[n] if n == "closes" else t[n].repeat(2, -1)[..., None] for n in t},
    "whole numbers": lambda t: {n: t[n] if n == "closes" else np.zeros(t[n].shape, int) for n in t},
    "single numbers": lambda t: {n: t[n] if n == "closes" else np.array(1.0) for n in t},
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("more", [0, 1])
def test_tensors_of_another_form_are_computed_anew(tmp_path, damage, more):
    x = _random(300)
    _all(x[: len(x) - more].copy(), tmp_path)
    (file,) = tmp_path.iterdir()
    write_tensors(file, DAMAGES[damage](read_tensors(file)[0]))
    for _ in range(2):
        for name, values in _all(x, tmp_path).items():
            np.testing.assert_array_equal(values, _all(x, None)[name])
    kept, _ = read_tensors(file)
    assert {len(one) for one in kept.values()} == {len(x)}


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_numbers_that_numpy_lacks_are_a_damage(tmp_path, kind):
    header = json.dumps(
        {"x": {"dtype": kind, "shape": [2], "data_offsets": [0, 2 + 2 * (kind == "BF16")]}}
    )
    content = struct.pack("<Q", len(header)) + header.encode() + bytes(2 + 2 * (kind == "BF16"))
    (tmp_path / "one").write_bytes(content)
    with pytest.raises(ValueError):
        read_tensors(tmp_path / "one")


def test_a_folder_that_cannot_even_be_asked_is_done_without():
    x = _random(200)
    for name, values in _all(x, Path("/tmp") / ("n" * 300)).items():
        np.testing.assert_array_equal(values, _all(x, None)[name])


def test_tables_are_the_same_with_and_without_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path))
    bars, names = load_bars("sp500").head(900), ["emd_imf_count", "mfdfa_hurst_mean", "sma_50"]
    expected = feature_table(bars, names).values
    assert not list(tmp_path.iterdir())
    for given_ in (bars.head(895), bars, bars):
        actual = feature_table(given_, names, kept=True).values
        np.testing.assert_array_equal(actual, expected[: len(given_)])
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setenv("TRUENESS_CACHE", "/proc/nowhere")
    np.testing.assert_array_equal(feature_table(bars, names, kept=True).values, expected)


@pytest.mark.long
def test_a_machine_that_never_saw_the_series_takes_the_measures_of_the_bundle(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "here"))
    bars = load_bars("sp500").head(1500)
    bars.head(1499).frame().write_csv("bars.csv")
    bars.frame().write_csv("longer.csv")
    Path("c.yaml").write_text(
        "campaign: c\ndata: bars.csv\nexperiments:\n"
        "  - id: one\n    task: {context: 5, horizon: 2, columns: [emd_imf_count, mfdfa_hurst_mean, "
        "sma_50]}\n"
        "    evaluation: {protocol: holdout}\n    model: logit\n"
    )
    trueness.run("c.yaml", store="store", workers=0, progress=False)
    feature_table(load_bars("bars.csv"), "a500", kept=True)  # columns that the bundle does not read
    trueness.finalize("one", "bundle", store="store")
    (kept,) = Path("bundle/measures").iterdir()
    tensors, _ = read_tensors(kept)
    assert len(tensors) == 3
    assert {len(one) for one in tensors.values()} == {1499}

    monkeypatch.setenv("TRUENESS_CACHE", "/proc/nowhere")
    expected = trueness.load("bundle").predict("longer.csv").to_frame()
    assert len(expected) == 3  # the last two before had no label yet
    assert expected["score"].is_finite().all()
    code = (
        "import sys, trueness; print(trueness.load('bundle').predict('longer.csv').to_frame()['score'][2"
        "]); assert 'numba' not in sys.modules"
    )
    there = tmp_path / "there"
    for _ in range(2):
        answer = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env={**os.environ, "TRUENESS_CACHE": str(there)},
        )  # fmt: skip
        assert float(answer.stdout) == expected["score"][2]
        (known,) = there.glob("measures-*/measures-*")
        assert {len(one) for one in read_tensors(known)[0].values()} == {1500}

    # measures of another bundle that are wrong stay with that bundle
    shutil.copytree("bundle", "wrong")
    (lies,) = Path("wrong/measures").iterdir()
    write_tensors(lies, {n: a if n == "closes" else np.ones_like(a) for n, a in tensors.items()})
    described = read_json("wrong/bundle.json")
    described["files"][f"measures/{lies.name}"]["sha256"] = sha256_of(lies)
    write_json(Path("wrong/bundle.json"), described)
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "new"))
    wrong = trueness.load("wrong").predict("longer.csv").to_frame()
    assert wrong["score"][2] != expected["score"][2]
    right = trueness.load("bundle").predict("longer.csv").to_frame()
    assert right["score"].to_list() == expected["score"].to_list()

    with kept.open("r+b") as file:
        file.write(b"\0")
    with pytest.raises(StoreError) as caught:
        trueness.load("bundle").predict("longer.csv")
    assert caught.value.code == "damaged"


@pytest.mark.long
def test_a_kernel_is_compiled_anew_when_one_that_it_calls_has_changed(tmp_path):
    """numba keeps compiled code by the state of its own file alone."""
    head = "from trueness.compiling import compiled\nfrom . import inner as k\n"
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    inner, outer = (tmp_path / "pack" / f"{name}.py" for name in ("inner", "outer"))
    outer.write_text(f"{head}@compiled\ndef double(x):\n    return 2 * k.one(x)\n")
    middle = "from trueness.compiling import compiled\n@compiled\ndef one(x):\n    return x + "
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    code = "from pack.outer import double; print(double(1), sum(double.dispatcher.stats.cache_hits.values()))"
    answers = []
    for added in ("1", "1", "10"):
        if not inner.exists() or added == "10":
            inner.write_text(middle + added + "\n")
        answers.append(subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env=environment, cwd=tmp_path,
        ).stdout.split())  # fmt: skip
    assert answers == [["4", "0"], ["4", "1"], ["22", "0"]]
