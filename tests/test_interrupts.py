"""Signals and streams: real processes, real signals, and what a shell sees of them."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from trueness.errors import StoreError
from trueness.execute import Failure, Pool
from trueness.files import cache_folder

pytestmark = pytest.mark.processes

SOON_S = 60
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
COMMAND = [sys.executable, "-m", "trueness"]


def script(text, **how):
    """A process that runs some lines, with its first word already printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, **how,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def rest(process):
    """What it prints from here on, on both streams; `communicate` loses what was read ahead."""
    with process:
        return process.stdout.read(), process.stderr.read()


def until(condition):
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_over(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return False
    return True


# ------------------------------------------------------------------------------------------ signals


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 2), (signal.SIGHUP, 0)])
def test_a_signal_ends_a_campaign_and_all_its_processes(tiny, tmp_path, number, workers):
    tiny.write_text(tiny.read_text().replace("epochs: 2", "epochs: 100000, patience: 100000"))
    store = tmp_path / "store"
    process = subprocess.Popen(
        [*COMMAND, "run", tiny, "--store", store, "--workers", str(workers), "--json"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    until(lambda: list(store.glob("runs/[0-9a-f]*")))
    os.killpg(process.pid, number)  # as a terminal does
    _, err = process.communicate(timeout=SOON_S)
    assert process.returncode == 128 + number, err
    assert "Run the same command to resume" in err
    assert "Traceback" not in err
    until(lambda: is_over(process.pid))


WORKING = """
    import signal, sys, time
    from trueness import interrupts
    with interrupts.listening(command=True):
        try:
            print("ready", flush=True)
            {}
        except KeyboardInterrupt:
            print(interrupts.status())
"""
DEAF = """
            while True:
                try:
                    print("again", flush=True)
                    time.sleep(60)
                except KeyboardInterrupt:
                    print("noticed", flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_finaliser_is_not_lost(number):
    process = script(WORKING.format(f"""
            class Loud:
                def __del__(self):
                    signal.raise_signal({int(number)})
            Loud()
            time.sleep(60)
    """))  # fmt: skip
    assert rest(process) == (f"{128 + number}\n", "")


def test_a_loop_sees_what_was_lost_in_code_that_catches_everything():
    process = script(WORKING.format("""
            try:
                time.sleep(60)
            except BaseException:
                pass
            interrupts.check()
            print("lost")
    """))  # fmt: skip
    process.send_signal(signal.SIGTERM)
    assert rest(process) == ("143\n", "")


def test_a_second_ctrl_c_ends_at_once_with_one_line():
    process = script(WORKING.format(DEAF))
    assert process.stdout.readline() == "again\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "noticed\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = rest(process)
    assert process.returncode == 130
    assert err.startswith("trueness: ended at once")
    assert err.count("\n") == 1


def test_a_signal_that_arrives_twice_is_one():
    process = script(WORKING.format(DEAF))
    assert process.stdout.readline() == "again\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "noticed\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.kill()
    assert rest(process) == ("again\n", "")


def test_what_is_ignored_stays_ignored():
    """As after nohup."""
    process = script("""
        import signal, time
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        from trueness import interrupts
        with interrupts.listening(command=True):
            print("ready", flush=True)
            signal.raise_signal(signal.SIGHUP)
            print("here")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    """)
    assert rest(process) == ("here\n", "")


def test_a_wish_is_only_noted_where_a_step_must_end():
    process = script("""
        import signal, time
        from trueness import interrupts
        with interrupts.patiently():
            print("ready", flush=True)
            signal.raise_signal(signal.SIGINT)
            print(interrupts.is_asked())
            time.sleep(0.3)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                print("second")
        print(interrupts.is_asked())
    """)
    assert rest(process) == ("True\nsecond\nFalse\n", "")


# ------------------------------------------------------------------------------------------ workers


def _interrupts(item, report):
    raise KeyboardInterrupt


def _cannot_be_sent(item, report):
    return lambda: item


@pytest.mark.parametrize(("function", "words"), [
    (_interrupts, "KeyboardInterrupt"), (_cannot_be_sent, "pickle"),
])  # fmt: skip
def test_whatever_a_worker_meets_is_a_failure_and_no_traceback(function, words, capfd):
    with Pool(1) as pool:
        ((_, answer),) = pool.map(function, [1])
    assert isinstance(answer, Failure)
    assert words in answer.reason.splitlines()[-1]
    assert capfd.readouterr().err == ""


def test_workers_of_a_parent_that_was_killed_leave_without_a_word(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        import time
        from trueness.execute import Pool
        def work(item, report):
            while True:
                report(item)
                time.sleep(0.01)
        if __name__ == "__main__":
            with Pool(2) as pool:
                list(pool.map(work, [1, 2], lambda position, event: print(position, flush=True)))
    """)
    )
    with (tmp_path / "told").open("w") as note:
        process = subprocess.Popen(
            [sys.executable, tmp_path / "mine.py"], text=True, stdout=subprocess.PIPE, stderr=note,
            start_new_session=True,
        )  # fmt: skip
        seen = {process.stdout.readline()}
        while len(seen) < 2:
            seen.add(process.stdout.readline())
        process.kill()
        process.communicate(timeout=SOON_S)
    until(lambda: is_over(process.pid))
    assert (tmp_path / "told").read_text() == ""


# ------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize(("redirected", "status", "lines"), [
    ("explain | true", 141, 0), ("explain 2>&1 --json | true", 141, 0),
    ("explain nothing 2>&1 | true", 2, 0), ("explain <&- >&- 2>&-", 0, 0),
    ("explain nothing 2>&-", 2, 0), ("explain >/dev/full", 2, 1), ("explain nothing >&-", 2, 1),
])  # fmt: skip
def test_streams_that_are_closed_broken_or_full(redirected, status, lines):
    python = f"{sys.executable} -m trueness"
    shell = subprocess.run(
        ["bash", "-c", f"{python} {redirected}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (shell.returncode, shell.stderr.count("\n")) == (status, lines), shell.stderr
    assert "Traceback" not in shell.stderr


# -------------------------------------------------------------------------------------- environment


def test_an_empty_cache_variable_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("TRUENESS_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "trueness"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "trueness"


def test_without_a_home_a_cache_has_to_be_named(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("TRUENESS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StoreError) as error:
        cache_folder()
    assert error.value.code == "no_home"
