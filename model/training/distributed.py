"""Several processes of one training run, as ``torchrun`` starts them: same weights, batches of their own."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import distributed, nn


def join(device: torch.device) -> tuple[int, int]:
    """Join the group that ``torchrun`` describes in the environment; gives rank and size, (0, 1) without one."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by the mean over the group; nothing to do in a group of one."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def agree(share: float, device: torch.device) -> float:
    """The largest *share* of a budget that any process of the group has spent, so that all stop at the same step."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return share
    largest = torch.tensor(share, dtype=torch.float64, device=device)
    distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return float(largest)


def leave() -> None:
    """Leave the group."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
