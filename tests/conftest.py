import pytest
import torch
from hypothesis import HealthCheck, settings

from utils import analysis_figures

torch.set_num_threads(1)  # more make tiny tensors slower, and workers of pytest-xdist compete for cores
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
settings.load_profile("loaded")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, laid out, instead of files."""
    figures = []

    def save(figure, path):
        figure.draw_without_rendering()
        figures.append(figure)

    monkeypatch.setattr(analysis_figures, "save", save)
    return figures
