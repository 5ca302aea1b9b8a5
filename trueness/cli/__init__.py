"""The command line: one verb, one call of the API. Rooms are loaded when a verb needs them."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

from cyclopts import App, CycloptsError

from trueness.cli import (
    calibrating,
    comparing,
    completing,
    configuration,
    deciding,
    diffing,
    explaining,
    external,
    features,
    judging,
    keeping,
    muting,
    runs,
    search_next,
    search_trials,
    searching,
    suggestions,
    text_corpus,
    text_training,
    text_use,
)
from trueness.errors import TruenessError

EXIT_REFUSED = 2
LONGEST_MESSAGE = 2000
SELDOM = 500_000
"""Objects between two searches for cycles: reading 10,000 runs makes millions, and none of them."""

app = App(
    name="trueness",
    help=(
        "Does your rare-event classifier really beat the baselines? Every precision with its "
        "counts and a 95 % confidence interval."
    ),
    help_format="plaintext",
    help_epilogue=(
        "Options --store, --data, --vix, --workers and --device may be set once, in trueness.toml "
        "or under [tool.trueness] in pyproject.toml. A mistake prints one line and exits with "
        "status 2; --trace shows more."
    ),
    config=(configuration.apply,),
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
data_app = App(name="data", help="Check daily bars before they are used.", help_format="plaintext")
features_app = App(name="features", help_format="plaintext")

app.command(runs.run)
app.command(judging.status)
app.command(runs.list_, name="list")
app.command(runs.leaderboard_, name="leaderboard")
app.command(runs.show)
app.command(external.judge)
app.command(comparing.compare)
app.command(diffing.diff)
app.command(deciding.thresholds)
app.command(deciding.certify)
app.command(deciding.plan)
app.command(calibrating.calibrate)
app.command(deciding.top)
app.command(judging.compare_published)
app.command(judging.tracker)
app.command(data_app)
app.command(features_app)
app.command(searching.search_app)
app.command(text_corpus.text_app)
text_corpus.text_app.command(text_training.train)
text_corpus.text_app.command(text_use.evaluate)
text_corpus.text_app.command(text_use.predict)
text_corpus.text_app.command(text_use.latency)
text_corpus.text_app.command(text_use.export)
app.command(explaining.explain)
app.command(muting.mute)
app.command(keeping.runs_app)
app.command(completing.install_completion, name="--install-completion")
data_app.command(features.check_bars, name="check")
searching.search_app.command(search_trials.run)
searching.search_app.command(search_next.propose)
searching.search_app.command(search_next.promote)
searching.search_app.command(search_next.transfer)
features_app.default(features.features)
features_app.command(features.build)
features_app.command(features.audit)
features_app.command(features.reduce)


def _fail(message: str) -> NoReturn:
    message = suggestions.completed(" ".join(message.split()))
    line = "".join(c if c.isprintable() else "?" for c in message)
    shown = line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} ..."
    sys.stderr.write(f"trueness: {shown}\n")
    raise SystemExit(EXIT_REFUSED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: mistakes print one line and exit with status 2.

    `--trace` shows the traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # terminals that know ASCII only
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if any("\0" in token for token in tokens):
        _fail("an argument holds a NUL character; give plain text")
    gc.set_threshold(SELDOM)
    with contextlib.suppress(ValueError):  # outside the main thread nobody listens
        signal.signal(signal.SIGTERM, _interrupted)
    trace = "--trace" in tokens
    tokens = [t for t in tokens if t != "--trace"]
    try:
        _guarded(
            lambda: app(
                tokens, exit_on_error=False, print_error=False, result_action="return_value"
            ),
            trace,
        )
    finally:
        suggestions.remember({})


def _interrupted(signum: int, frame: FrameType | None) -> NoReturn:
    """Let SIGTERM end a verb as Ctrl-C does, so that scratch folders go."""
    del signum, frame
    raise KeyboardInterrupt


def _guarded(call: Callable[[], Any], trace: bool) -> NoReturn:
    try:
        status = call()
        sys.stdout.flush()
    except CycloptsError as error:
        if trace:
            raise
        _fail(str(error))
    except TruenessError as error:
        if trace:
            raise
        _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("trueness: interrupted\n")
        raise SystemExit(runs.EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(runs.EXIT_INTERRUPTED) from None
    except OSError as error:
        if trace:
            raise
        _fail(f"{error.strerror or error}; give another path than {error.filename or 'this'}")
    gc.freeze()  # nothing is left to collect; leaving would search all modules for cycles
    raise SystemExit(status if isinstance(status, int) else 0)
