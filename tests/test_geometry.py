"""Geometry against closed forms, other implementations, and what cannot change its answers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from utils import geometry
from utils.config import InputError

seeds = st.integers(0, 2**31)


def points(things: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((things, dimensions))


def matrix(things: int, seed: int = 0) -> np.ndarray:
    """Return random symmetric dissimilarities that are no distances of points."""
    values = np.random.default_rng(seed).uniform(0.1, 1, (things, things))
    return np.triu(values, 1) + np.triu(values, 1).T


def without(target: np.ndarray, *pairs: tuple[int, int]) -> np.ndarray:
    target = target.copy()
    for i, j in pairs:
        target[i, j] = target[j, i] = np.nan
    return target


def turned(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Turn and mirror points by a random orthogonal matrix."""
    return x @ np.linalg.qr(points(x.shape[1], x.shape[1], seed))[0]


def test_distances_and_their_upper_triangle():
    x = np.array([[0.0, 0], [3, 4], [0, 8]])
    assert geometry.distances(x).tolist() == [[0, 5, 8], [5, 0, 5], [8, 5, 0]]
    assert geometry.upper(geometry.distances(x)).tolist() == [5, 8, 5]
    assert geometry.distances(np.stack([x, 2 * x])).shape == (2, 3, 3)


def test_stress1_by_hand():
    """Distances 1, 1, 1 for 1, 1, 2: the best scale is 4/3, and the root of (1/9 + 1/9 + 4/9) / (16/3) is left."""
    target = np.array([[0, 1, 1], [1, 0, 2], [1, 2, 0.0]])
    equal = 1 - np.eye(3)
    assert geometry.stress1(target, equal) == pytest.approx(math.sqrt(1 / 8))
    assert geometry.stress1(target, 7 * target) == pytest.approx(0, abs=1e-12)
    assert geometry.stress1(without(target, (1, 2)), equal) == pytest.approx(0, abs=1e-12)
    assert math.isnan(geometry.stress1(target, np.zeros((3, 3))))


@given(st.floats(0.01, 100), seeds)
def test_no_other_scale_fits_better(scale, seed):
    """Least squares: the sum of squared errors at any other scale is larger."""
    target, estimate = matrix(6, seed), geometry.distances(points(6, 2, seed))
    t, d = geometry.upper(target), geometry.upper(estimate)
    best = d * (t @ d) / (d @ d)
    assert geometry.stress1(target, scale * estimate) == pytest.approx(np.linalg.norm(best - t) / np.linalg.norm(best))
    assert np.linalg.norm(scale * d - t) >= np.linalg.norm(best - t) - 1e-9


@pytest.mark.parametrize("scale", [geometry.classical, lambda target, n: geometry.mds(target, n).positions])
def test_points_are_found_again(scale):
    truth = geometry.distances(points(9, 3))
    assert geometry.distances(scale(truth, 3)) == pytest.approx(truth, abs=2e-5)
    wide = scale(truth, 11)
    assert wide.shape == (9, 11)
    assert geometry.distances(wide) == pytest.approx(truth, abs=2e-5)


def test_points_are_found_again_without_some_pairs():
    truth = geometry.distances(points(10, 2, seed=3))
    target = without(truth, (0, 1), (2, 7), (3, 9), (0, 5))
    found = geometry.mds(target, 2)
    assert geometry.distances(found.positions) == pytest.approx(truth, abs=1e-4)
    assert found.raw_stress == pytest.approx(0, abs=1e-8)
    assert found.stress1 == pytest.approx(0, abs=1e-4)


def test_unknown_pairs_weigh_nothing():
    """Whatever stands in for an unknown pair, the known ones fit better without it."""
    whole = matrix(7, seed=2)
    part = without(whole, (1, 4))
    found = geometry.mds(part, 2)
    known = geometry.upper(~np.isnan(part))
    errors = geometry.upper(geometry.distances(found.positions) - whole)[known]
    assert found.raw_stress == pytest.approx(errors @ errors)
    others = geometry.upper(geometry.distances(geometry.mds(whole, 2).positions) - whole)[known]
    assert errors @ errors < others @ others


def test_scaling_is_as_good_as_scikit_learn():
    from sklearn.manifold import smacof

    for seed in range(3):
        target = matrix(8, seed)
        peer = smacof(target, n_components=2, n_init=8, max_iter=3000, eps=1e-9, random_state=0, normalized_stress=False)[1]
        assert geometry.mds(target, 2).raw_stress <= peer + 1e-5


def test_guttmans_transform_never_raises_the_stress():
    """Theorem of de Leeuw 1977; with all weights 1 the transform is B(X) X / I."""
    target, x = matrix(8), points(8, 2)
    before = np.inf
    for _ in range(50):
        stress = ((geometry.distances(x) - target) ** 2).sum()
        assert stress <= before
        before, x = stress, geometry._guttman(target, geometry.distances(x)[None])[0] @ x / 8


def test_scaling_follows_its_seed_and_centres():
    target = matrix(8)
    one, two = (geometry.mds(target, 2, seed=4) for _ in range(2))
    assert np.array_equal(one.positions, two.positions)
    assert one.positions.mean(0) == pytest.approx(np.zeros(2), abs=1e-9)
    assert one.raw_stress <= geometry.mds(target, 2, starts=0).raw_stress + 1e-12


def test_equal_things_and_lines_are_no_trouble():
    """Distances of 0 divide nothing; things that are alike come to lie in one place."""
    line = geometry.distances(np.array([[0.0], [0], [1], [3]]))
    found = geometry.mds(line, 2)
    assert np.isfinite(found.positions).all()
    assert geometry.distances(found.positions) == pytest.approx(line, abs=1e-4)
    assert geometry.mds(np.zeros((3, 3)), 2).raw_stress == 0


def test_a_way_round_may_lead_over_equal_things():
    """0 and 1 are one place; 0 to 3 is only known by way of 1."""
    target = without(geometry.distances(np.array([[0.0], [0], [1], [3]])), (0, 3))
    assert geometry.distances(geometry.classical(target, 1))[0, 3] == pytest.approx(3)


@pytest.mark.parametrize("scale", [geometry.classical, geometry.mds])
def test_groups_that_nothing_compares_have_no_positions(scale):
    target = without(matrix(5), *itertools.product((0, 1), (2, 3, 4)))
    with pytest.raises(InputError, match="fall into 2 groups"):
        scale(target, 2)


@given(seeds)
def test_correlations_are_those_of_scipy(seed):
    a, b = without(matrix(7, seed), (0, 1), (2, 3)), without(matrix(7, seed + 1), (4, 5))
    x, y = geometry.upper(a), geometry.upper(b)
    known = ~np.isnan(x + y)
    x, y = x[known], y[known]
    expected = [stats.pearsonr(x, y).statistic, stats.spearmanr(x, y).statistic, stats.kendalltau(x, y).statistic]
    found = geometry.correlations(a, b)
    assert list(found) == ["pearson", "spearman", "kendall"]
    assert list(found.values()) == pytest.approx(expected)


def test_correlations_that_are_not_defined():
    a = matrix(4)
    for b in (1 - np.eye(4), np.full((4, 4), np.nan), without(a, (0, 1), (0, 2), (0, 3), (1, 2))):
        assert all(map(math.isnan, geometry.correlations(a, b).values()))
        assert all(map(math.isnan, geometry.correlations(b, a).values()))


@pytest.mark.parametrize("hidden", [[], [(0, 1), (2, 4)]])
def test_mantel_is_exact_for_few_things(hidden):
    """All 120 orders by hand; what is unknown of the first stays where it is."""
    a, b = without(matrix(5, 1), *hidden), matrix(5, 2)
    known = ~np.isnan(geometry.upper(a))

    def correlation(order) -> float:
        return np.corrcoef(geometry.upper(a)[known], geometry.upper(b[np.ix_(order, order)])[known])[0, 1]

    observed = correlation(range(5))
    reached = [correlation(list(order)) >= observed - 1e-12 for order in itertools.permutations(range(5))]
    assert geometry.mantel(a, b) == pytest.approx((observed, np.mean(reached)))


def test_mantel_of_a_matrix_with_itself():
    """Of 6 things in general position only one order of 720 is as good; of 12, hardly any that is drawn."""
    assert geometry.mantel(matrix(6), 3 * matrix(6)) == pytest.approx((1, 1 / 720))
    r, p = geometry.mantel(matrix(12), matrix(12), permutations=999)
    assert (r, p) == pytest.approx((1, 1 / 1000))
    assert geometry.mantel(matrix(12), -matrix(12), permutations=999)[1] == 1


def test_mantel_leaves_out_what_only_one_matrix_knows():
    """Of 8 things each matrix lacks one; the other 6 have 720 orders."""
    a, b = matrix(8, 1), matrix(8, 2)
    expected = geometry.mantel(a[:6, :6], b[:6, :6])
    a, b = (without(x, *((i, lacking) for i in range(8) if i != lacking)) for x, lacking in ((a, 6), (b, 7)))
    assert geometry.mantel(a, b) == pytest.approx(expected)


def test_mantel_finds_chance_as_often_as_it_should():
    """Under the null p is uniform: of 200 tests 5 % (1 to 20 of them, with a probability of 0.999) lie below 0.05."""
    found = [geometry.mantel(matrix(6, seed), matrix(6, seed + 1000))[1] for seed in range(200)]
    assert 1 <= sum(p <= 0.05 for p in found) <= 20
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_mantel_follows_its_seed():
    one, two, three = (geometry.mantel(matrix(9, 1), matrix(9, 2), 499, seed) for seed in (0, 0, 1))
    assert one == two
    assert one[1] == pytest.approx(three[1], abs=0.15)
    assert all(map(math.isnan, geometry.mantel(matrix(5), 1 - np.eye(5))))


def test_triplets_by_hand():
    """Sides 1, 2, 3 against 1, 3, 2: at one corner of three the order stays."""
    a = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0.0]])
    b = np.array([[0, 1, 3], [1, 0, 2], [3, 2, 0.0]])
    found = geometry.triplets(a, b)
    assert (found.share, found.number) == (pytest.approx(2 / 3), 3)
    assert geometry.triplets(a, 5 * a)[:2] == (1.0, 1.0)
    assert geometry.triplets(a, 4 - a - 4 * np.eye(3)).share == 0


def test_ties_and_unknown_pairs_are_no_triplets():
    a = np.array([[0, 1, 1], [1, 0, 3], [1, 3, 0.0]])
    assert geometry.triplets(a, a).number == geometry.triplets(matrix(3), a).number == 2
    assert geometry.triplets(without(a, (0, 1)), a).number == 1
    none = geometry.triplets(a, 1 - np.eye(3))
    assert none.number == 0
    assert all(map(math.isnan, none[:3]))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_triplets_are_counted_one_by_one(seed):
    a, b = without(matrix(6, seed), (0, 3)), matrix(6, seed + 1).round(1)
    triplets = [(i, j, k) for i in range(6) for j, k in itertools.combinations(sorted({*range(6)} - {i}), 2)]
    signs = [np.sign([a[i, j] - a[i, k], b[i, j] - b[i, k]]) for i, j, k in triplets]
    compared = [x == y for x, y in signs if x and y and x == x]
    found = geometry.triplets(a, b)
    assert (found.share, found.number) == (pytest.approx(np.mean(compared)), len(compared))
    assert 0 <= found.low <= found.high <= 1


def test_the_interval_of_triplets_narrows_with_things_and_holds_chance():
    wide, narrow = (geometry.triplets(matrix(n, 1), matrix(n, 2)) for n in (6, 24))
    assert narrow.high - narrow.low < wide.high - wide.low
    assert narrow.low < 0.5 < narrow.high
    assert narrow == geometry.triplets(matrix(24, 1), matrix(24, 2))


def test_distances_that_know_predict_what_was_left_out():
    truth = geometry.distances(points(7, 2))
    scales = np.arange(1, 8)[:, None, None]
    found = geometry.held_out(without(truth, (2, 3)), truth * scales)
    assert found.predicted == pytest.approx(truth)
    assert (found.pearson, found.error) == pytest.approx((1, 0), abs=1e-12)
    assert found.baseline > 0.1


def test_what_was_left_out_says_nothing_of_its_own_scale():
    """Rows that are twice too large stay so, as the scale is of the others alone."""
    truth = matrix(5)
    estimates = np.stack([truth] * 5)
    for i in range(5):
        estimates[i, i] *= 2
        estimates[i, :, i] *= 2
    found = geometry.held_out(truth, estimates)
    assert found.predicted == pytest.approx(2 * truth)
    t = truth[~np.eye(5, dtype=bool)]
    assert found.error == pytest.approx(np.sqrt(np.mean(t**2)))


def test_the_baseline_is_the_mean_of_the_others():
    truth = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0.0]])
    found = geometry.held_out(truth, np.stack([truth] * 3))
    errors = np.array([3 - 1, 3 - 2, 2 - 1, 2 - 3, 1 - 2, 1 - 3])
    assert found.baseline == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert math.isnan(geometry.held_out(truth, np.zeros((3, 3, 3))).error)


def test_spearman_brown():
    """0.885 between halves is 0.94 between wholes; twice the half of a panel is the panel."""
    assert geometry.spearman_brown(0.885) == pytest.approx(0.939, abs=5e-4)
    assert geometry.spearman_brown(0.6, 1) == 0.6
    assert geometry.spearman_brown(geometry.spearman_brown(0.6, 0.5), 2) == pytest.approx(0.6)


def test_reliability_is_the_correlation_of_two_panels():
    """40 things, 20 listeners with errors twice as large as what they hear: 1 / (1 + 4 / 20)."""
    random = np.random.default_rng(0)
    truth = matrix(40, 1)
    truth = (truth - geometry.upper(truth).mean()) / geometry.upper(truth).std()

    def panel() -> np.ndarray:
        noise = np.triu(random.standard_normal((20, 40, 40)), 1)
        return truth + 2 * (noise + noise.transpose(0, 2, 1))

    one, two = panel(), panel()
    found = geometry.reliability(one.mean(0), one.std(0), np.full((40, 40), 20))
    assert found == pytest.approx(1 / 1.2, abs=0.03)
    assert found == pytest.approx(geometry.correlations(one.mean(0), two.mean(0))["pearson"], abs=0.03)


def test_reliability_of_what_does_not_tell():
    mean, spread, number = matrix(4), np.full((4, 4), 0.1), np.full((4, 4), 10)
    assert 0 < geometry.reliability(mean, spread, number) < 1
    assert geometry.reliability(mean, 9 * spread, number) == 0
    assert geometry.reliability(mean, 0 * spread, number) == 1
    for changed in ((1 - np.eye(4), spread, number), (mean, spread * np.nan, number), (mean, spread, number // 10)):
        assert math.isnan(geometry.reliability(*changed))


@given(st.floats(0.1, 10), seeds)
def test_procrustes_undoes_moving_turning_mirroring_and_scaling(scale, seed):
    reference = points(6, 3, seed)
    aligned, left = geometry.procrustes(scale * turned(reference, seed + 1) + 5, reference)
    assert aligned == pytest.approx(reference)
    assert left == pytest.approx(0, abs=1e-9)


@given(seeds)
def test_procrustes_leaves_what_scipy_leaves(seed):
    from scipy.spatial import procrustes

    a, b = points(6, 3, seed), points(6, 3, seed + 1)
    assert geometry.procrustes(a, b)[1] == pytest.approx(procrustes(b, a)[2])
    flat = np.pad(a[:, :2], ((0, 0), (0, 1)))
    assert geometry.procrustes(a[:, :2], b)[1] == pytest.approx(procrustes(b, flat)[2])


def test_procrustes_of_a_single_place():
    reference = points(4, 2)
    aligned, left = geometry.procrustes(np.ones((4, 2)), reference)
    assert aligned == pytest.approx(np.tile(reference.mean(0), (4, 1)))
    assert left == 1
    assert math.isnan(geometry.procrustes(reference, np.ones((4, 2)))[1])
