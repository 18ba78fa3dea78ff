import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.config import InputError
from utils.device import generator
from utils.trajectories import axes, circle, helix, interpolate, line, slerp, spiral

ORDERS = ("0", "1", "2", "3", "spherical")
sizes = st.integers(3, 40)
seeds = st.integers(0, 2**32 - 1)
radii = st.floats(0.1, 10)


def centre(z, seed):
    return torch.randn(z, generator=generator(seed, "centre"))


def planar(points, dimensions):
    """Tell whether points (N, Z) span no more dimensions than given."""
    return torch.linalg.matrix_rank(points - points.mean(0), rtol=1e-4) <= dimensions


@given(sizes, seeds)
def test_axes_are_orthonormal(z, seed):
    a = axes(3, z, generator(seed))
    assert torch.allclose(a @ a.T, torch.eye(3), atol=1e-5)


def test_lines_have_constant_speed():
    path = line(torch.zeros(3), torch.tensor([3.0, 0.0, 4.0]), 6)
    assert path[0].tolist() == [0, 0, 0] and path[-1].tolist() == [3, 0, 4]
    assert torch.allclose(path.diff(dim=0).norm(dim=1), torch.ones(5))


@given(sizes, seeds, radii, st.integers(1, 5))
def test_circles_are_circles(z, seed, radius, turns):
    o = centre(z, seed)
    path = circle(o, radius, turns, 101, generator(seed))
    assert torch.allclose((path - o).norm(dim=1), torch.full((101,), radius), rtol=1e-4)
    assert torch.allclose(path[0], path[-1], atol=1e-4 * radius)
    assert planar(path, 2)
    assert torch.allclose(path[:-1].mean(0), o, atol=1e-4 * radius)
    chord = 2 * radius * math.sin(math.pi * turns / 100)
    assert torch.allclose(path.diff(dim=0).norm(dim=1), torch.full((100,), chord), rtol=1e-2)


@given(sizes, seeds, radii, st.integers(1, 5), st.floats(0.5, 20))
def test_helices_rise_evenly(z, seed, radius, turns, rise):
    o = centre(z, seed)
    path = helix(o, radius, turns, 40 * turns + 1, generator(seed), rise)
    after_a_turn = path[40:] - path[:-40]
    assert torch.allclose(after_a_turn.norm(dim=1), torch.full((len(after_a_turn),), rise / turns), rtol=1e-2, atol=1e-3)
    axis = (path[-1] - path[0]) / rise
    across = (path - o) - ((path - o) @ axis)[:, None] * axis
    assert torch.allclose(across.norm(dim=1), torch.full((len(path),), radius), rtol=1e-2)
    assert planar(path, 3)


def test_helices_are_as_tall_as_wide():
    path = helix(torch.zeros(5), 2.0, 3, 50, generator(0))
    assert (path[-1] - path[0]).norm().item() == pytest.approx(4)


@given(sizes, seeds, radii, radii)
def test_spirals_change_their_radius_evenly(z, seed, radius, inner):
    o = centre(z, seed)
    path = spiral(o, radius, 2.5, 51, generator(seed), inner)
    assert torch.allclose((path - o).norm(dim=1), torch.linspace(radius, inner, 51), rtol=1e-3)
    assert planar(path, 2)


def test_spirals_end_at_the_centre():
    o = centre(4, 0)
    assert torch.allclose(spiral(o, 3.0, 1, 10, generator(0))[-1], o)


def test_curves_are_functions_of_their_generator():
    for curve in (circle, helix, spiral):
        first, again, other = (curve(torch.zeros(8), 1.0, 1, 20, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again) and not torch.allclose(first, other)
        assert curve(torch.zeros(8), 1.0, 1, 1, generator(1)).shape == (1, 8)


@pytest.mark.parametrize(("curve", "z"), [(circle, 1), (spiral, 1), (helix, 2)])
def test_curves_need_room(curve, z):
    with pytest.raises(InputError, match=f"needs {z + 1} dimensions, but the latent space has {z}"):
        curve(torch.zeros(z), 1.0, 1, 10, generator(0))


@pytest.mark.parametrize("order", ORDERS)
@settings(deadline=None)  # the first one imports scipy
@given(n=st.integers(1, 6), z=st.integers(1, 5), steps=st.integers(1, 9), seed=seeds)
def test_paths_pass_through_their_points(order, n, z, steps, seed):
    points = torch.randn(n, z, generator=generator(seed))
    path = interpolate(points, steps, order)
    assert path.shape == ((n - 1) * steps + 1, z) and path.dtype == points.dtype
    assert torch.allclose(path[::steps], points, atol=1e-5)


def test_order_0_holds():
    assert interpolate(torch.tensor([[1.0], [5.0], [2.0]]), 2, "0").flatten().tolist() == [1, 1, 5, 5, 2]


def test_order_1_is_linear():
    assert interpolate(torch.tensor([[1.0], [5.0], [2.0]]), 2, "1").flatten().tolist() == [1, 3, 5, 3.5, 2]


@pytest.mark.parametrize("degree", [2, 3])
def test_splines_reproduce_polynomials(degree):
    t = torch.arange(6.0)[:, None]
    fine = torch.arange(51)[:, None] / 10
    assert torch.allclose(interpolate(t**degree, 10, str(degree)), fine**degree, atol=1e-3)


def test_few_points_lower_the_degree():
    points = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    assert torch.allclose(interpolate(points, 4, "3"), interpolate(points, 4, "1"))


@given(st.integers(2, 30), seeds, st.floats(0.1, 10))
def test_slerp_keeps_equal_norms_and_turns_evenly(z, seed, norm):
    p, q = norm * torch.nn.functional.normalize(torch.randn(2, z, generator=generator(seed)).double(), dim=1)
    t = torch.linspace(0, 1, 9).double()[:, None]
    path = slerp(p.expand(9, -1), q.expand(9, -1), t)
    assert torch.allclose(path.norm(dim=1), torch.full((9,), norm).double(), rtol=1e-5)
    steps = path.diff(dim=0).norm(dim=1)
    assert torch.allclose(steps, steps[:1].expand(8), rtol=1e-4)
    assert torch.allclose(path[[0, -1]], torch.stack([p, q]))


def test_slerp_changes_lengths_linearly():
    path = slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.tensor([[0.5]]))
    assert path[0].tolist() == pytest.approx([2 / math.sqrt(2), 2 / math.sqrt(2)])


@pytest.mark.parametrize(
    ("p", "q"), [([1.0, 2.0], [2.0, 4.0]), ([1.0, 0.0], [-2.0, 0.0]), ([0.0, 0.0], [1.0, 1.0]), ([0.0] * 2, [0.0] * 2)]
)
def test_slerp_is_straight_where_no_arc_is_defined(p, q):
    p, q = torch.tensor([p]), torch.tensor([q])
    assert torch.allclose(slerp(p, q, torch.tensor([[0.25]])), 0.75 * p + 0.25 * q, atol=1e-6)
