"""What is kept: runs by key, the ledger of accesses, leases of processes at work, derived numbers."""

from typing import TypeAlias

from trueness.store.runs import MemoryRun, MemoryStore, Problem, Run, S, Store

AnyStore: TypeAlias = Store | MemoryStore
"""What can be judged."""

__all__ = ["AnyStore", "MemoryRun", "MemoryStore", "Problem", "Run", "S", "Store"]
