"""Several processes on one run, started by torchrun: each takes its share of every update."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from trueness.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
PATIENCE = timedelta(days=2)
"""How long a process waits for the others, such as for the first one's baselines."""


@dataclass(frozen=True)
class Ranks:
    """Number of this process, and of all of them; one alone needs no group."""

    rank: int = 0
    world: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """What this process takes of a list."""
        return items[self.rank :: self.world]

    def all_reduce_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes, in place."""
        if self.world == 1 or not tensors:
            return
        import torch
        import torch.distributed as dist

        flat = torch.cat([t.reshape(-1).float() for t in tensors])
        dist.all_reduce(flat)
        for tensor, piece in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(piece.view_as(tensor))

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.world > 1:
            import torch.distributed as dist

            dist.barrier()

    def close(self) -> None:
        """Leave the group."""
        if self.world > 1:
            import torch.distributed as dist

            dist.destroy_process_group()


def init_distributed(device: str) -> tuple[Ranks, str]:
    """Join the group that torchrun prepared, and the device of this process in it.

    Raises
    ------
    SpecError
        If torchrun's settings are incomplete.

    Examples
    --------
    >>> init_distributed("cpu")
    (Ranks(rank=0, world=1), 'cpu')
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks(), device
    import torch
    import torch.distributed as dist

    missing = [n for n in ("RANK", "MASTER_ADDR", "MASTER_PORT") if n not in os.environ]
    if missing:
        raise SpecError(f"WORLD_SIZE is {world}, but {missing[0]} is not set; start with torchrun")
    if device.startswith("cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    return Ranks(dist.get_rank(), dist.get_world_size()), device
