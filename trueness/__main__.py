"""``python -m trueness``, as launchers of several processes call it."""

from trueness.cli import main

if __name__ == "__main__":
    main()
