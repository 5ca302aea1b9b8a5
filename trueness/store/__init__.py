"""What is kept: runs by key, the ledger of accesses, leases of processes, derived numbers."""

from typing import TypeAlias

from trueness.store.memory import MemoryRun, MemoryStore
from trueness.store.run import Problem, Run, S
from trueness.store.runs import Store

AnyStore: TypeAlias = Store | MemoryStore
"""What can be judged."""

__all__ = ["AnyStore", "MemoryRun", "MemoryStore", "Problem", "Run", "S", "Store"]
