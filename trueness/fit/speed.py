"""How long a step of training takes here, by taking some."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from trueness.examples import Examples
from trueness.fit.device import Device
from trueness.fit.member import Member
from trueness.fit.stack import Stack
from trueness.spec import Spec


def seconds_per_step(
    examples: Examples, spec: Spec, device: Device, folder: Path, budget: float
) -> float:
    """Median time of steps of one network in its first fold, which are then forgotten.

    Parameters
    ----------
    examples : Examples
    spec : Spec
        Its model is a network.
    device : Device
        A CPU: nothing waits for an accelerator here.
    folder : Path
        That of own files.
    budget : float
        Seconds after which no further step is taken; one is always taken, and the first of several
        does not count.
    """
    stack, times = Stack(examples, [Member(spec, 0)], device, base_folder=folder), []
    for _ in range(stack.states[0].steps):
        began = time.perf_counter()
        stack.step()
        times.append(time.perf_counter() - began)
        if sum(times) > budget:
            break
    return median(times[1:] or times)
