"""Shared fixtures. One torch thread: several would fight over the cores and slow the suite down many times."""

import torch

torch.set_num_threads(1)
