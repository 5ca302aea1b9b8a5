"""The command line: one verb, one call of the API. Rooms are loaded when a verb needs them.

Adding a verb: a module here, and its row in `VERBS` or in the group that it belongs to.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from cyclopts import App, CycloptsError

from trueness import interrupts
from trueness.cli import configuration, streams, suggestions
from trueness.errors import TruenessError

EXIT_REFUSED, EXIT_PIPE = 2, 141
"""Status after a mistake, and when nobody reads on: what a shell says of a SIGPIPE."""
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
VERBS = {
    "run": "runs:run",
    "status": "judging:status",
    "list": "runs:list_",
    "leaderboard": "boards:leaderboard_",
    "show": "runs:show",
    "judge": "external:judge",
    "compare": "comparing:compare",
    "diff": "diffing:diff",
    "thresholds": "deciding:thresholds",
    "certify": "deciding:certify",
    "plan": "deciding:plan",
    "calibrate": "calibrating:calibrate",
    "top": "deciding:top",
    "log": "logging_runs:log",
    "finalize": "using:finalize",
    "predict": "using:predict",
    "monitor": "using:monitor",
    "export": "using:export",
    "payoff": "using:payoff",
    "alarms": "using:alarms",
    "importance": "attributing:importance",
    "errors": "erring:errors",
    "audit-labels": "labelling:audit_labels",
    "label-next": "labelling:label_next",
    "compare-published": "judging:compare_published",
    "tracker": "judging:tracker",
    "data": "features:data_app",
    "features": "features:features_app",
    "search": "searching:search_app",
    "text": "text_corpus:text_app",
    "serve": "serving:serve",
    "explain": "explaining:explain",
    "mute": "muting:mute",
    "runs": "keeping:runs_app",
    "unlock": "keeping:unlock",
    "--install-completion": "completing:install_completion",
}
"""Word -> module and name of what it calls, or of the group of verbs that follow; imported then."""
for _word, _where in VERBS.items():
    app.command(f"trueness.cli.{_where}", name=_word)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point: mistakes print one line and exit with status 2.

    `--trace` shows the traceback.
    """
    streams.prepare()
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if any("\0" in token for token in tokens):
        _fail("an argument holds a NUL character; give plain text")
    gc.set_threshold(SELDOM)
    trace = "--trace" in tokens
    tokens = [t for t in tokens if t != "--trace"]
    try:
        with interrupts.listening(command=True):
            _guarded(lambda: _call(tokens), trace)
    finally:
        suggestions.remember({})


def _fail(message: str) -> NoReturn:
    _say(suggestions.completed(" ".join(message.split())))
    raise SystemExit(EXIT_REFUSED)


def _say(message: str) -> None:
    """Print one line on standard error, if anybody listens there."""
    line = "".join(c if c.isprintable() else "?" for c in message)
    shown = line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} ..."
    with contextlib.suppress(OSError):
        sys.stderr.write(f"trueness: {shown}\n")
        sys.stderr.flush()


def _call(tokens: list[str]) -> Any:  # noqa: ANN401 - whatever a verb returns
    """Import the verb and call it, or all verbs of a group that is to list them."""
    words = [token for token in tokens if token not in app.help_flags]
    app.parse_commands(words)[1][-1].resolved_commands()
    return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


def _guarded(call: Callable[[], Any], trace: bool) -> NoReturn:
    """Make the call, flush what it printed, and end with its status or that of what stopped it."""
    try:
        status = call()
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        _say("interrupted")
        status = interrupts.status()
    except BrokenPipeError:
        status = EXIT_PIPE
    except (CycloptsError, TruenessError) as error:
        if trace:
            raise
        _fail(str(error))
    except OSError as error:
        if trace:
            raise
        instead = f"; give another path than {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{instead}")
    streams.settle()
    gc.freeze()  # nothing is left to collect; leaving would search all modules for cycles
    raise SystemExit(status if isinstance(status, int) else 0)
