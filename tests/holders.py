"""Processes that may hold something, as files name them."""

import os

from trueness.owners import _started, me


def alive():
    """The process that started this one, which lives."""
    pid = os.getppid()
    return {**me().to_dict(), "pid": pid, "started": _started(pid), "token": "alive"}


def gone():
    """One that had a number of today, and began at another time."""
    return {**alive(), "started": "1", "token": "gone"}


def elsewhere():
    """The first of a container that has this machine's name."""
    return {**me().to_dict(), "machine": "0" * 12, "pid": 1, "token": "elsewhere"}
