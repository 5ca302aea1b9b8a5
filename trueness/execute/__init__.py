"""Map a function over items: here, in local processes, or as tasks of a Ray cluster.

Nothing here knows of experiments. A pool is a plug: whoever maps does not know which one it has.
"""

from trueness.execute.contract import AnyPool, Failure, Function, Question
from trueness.execute.local import Pool, keep_memory, pool_size, refuse_unguarded
from trueness.execute.opening import open_pool, pool_on

__all__ = [
    "AnyPool",
    "Failure",
    "Function",
    "Pool",
    "Question",
    "keep_memory",
    "open_pool",
    "pool_on",
    "pool_size",
    "refuse_unguarded",
]
