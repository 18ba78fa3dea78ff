"""Scores against values computed by hand."""

import pytest
import torch

from utils import metrics


def test_success_counts_frames_and_sources():
    true = torch.tensor([[[0, 1]], [[0, 1]], [[2, 1]], [[2, 0]]])
    named = torch.tensor([[[0, 1]], [[1, 1]], [[2, 0]], [[0, 0]]])
    assert metrics.success(true, named) == [0.5, 0.75]


def test_success_by_note_is_a_vote_of_its_frames():
    note = torch.tensor([7, 7, 7, 3, 3, 3])
    true = torch.tensor([[1], [1], [1], [2], [2], [2]])
    named = torch.tensor([[1], [1], [0], [2], [0], [0]])
    assert metrics.success_by_note(true, named, note) == [0.5]


def test_log_spectral_distance_is_in_db():
    reference = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    estimate = torch.tensor([[10.0, 0.1], [1.0, 1e-9]])
    assert metrics.log_spectral_distance(reference, estimate, 1e-3).tolist() == pytest.approx([20.0, 0.0], abs=1e-4)
