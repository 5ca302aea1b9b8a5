"""The command ``trueness``, and ``python -m trueness``, as launchers of several processes call."""

from typing import NoReturn

from trueness import interrupts


def main() -> NoReturn:
    """Call the command line; Ctrl-C while it is being loaded ends it with one line, too."""
    try:
        with interrupts.listening(command=True):
            try:
                from trueness.cli import main as call
            except KeyboardInterrupt:
                interrupts.end("interrupted")
            call()
    finally:
        interrupts.leave_to_the_system()


if __name__ == "__main__":
    main()
