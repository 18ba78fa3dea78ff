"""Passages that are made long enough to be heard."""

import pytest
import torch

from models.examples import stretch


@pytest.mark.parametrize("n", [1, 2, 5])
def test_short_passages_are_stretched_from_their_first_frame_to_their_last(n):
    frames = torch.linspace(0, 1, n)[:, None] * torch.tensor([1.0, 2.0]) + 1
    found = stretch(frames, 9, 20)
    assert found.shape == (9, 2)
    assert torch.equal(found[0], frames[0]) and found[-1].tolist() == pytest.approx(frames[-1].tolist())
    assert found[:, 0].tolist() == pytest.approx(torch.linspace(1, frames[-1, 0].item(), 9).tolist())


def test_long_passages_are_cut_and_others_stay():
    frames = torch.rand(30, 2)
    assert torch.equal(stretch(frames, 9, 20), frames[:20])
    assert torch.equal(stretch(frames[:12], 9, 20), frames[:12])
    assert torch.equal(stretch(frames[:9], 9, 20), frames[:9])
