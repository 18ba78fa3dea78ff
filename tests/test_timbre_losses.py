"""The pulls of the timbre system: by hand, at their minima, and where ratings or pairs are missing."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from data.dissimilarity import ratings
from models import losses
from models import timbre_losses as timbre
from models.losses import Normal

NAN = math.nan
TRIANGLE = torch.tensor([[0.0, 0], [3, 4], [0, 8]], dtype=torch.float64)  # distances 5, 8, 5
RATED = torch.tensor([[0, 0.5, 1], [0.5, 0, 0.8], [1, 0.8, 0]], dtype=torch.float64)
SPREAD = torch.tensor([[0, 0.1, 0.2], [0.1, 0, 0.4], [0.2, 0.4, 0]], dtype=torch.float64)
EACH = torch.arange(3)
CORRECTED = {
    "l2": lambda z, c, wanted, s: timbre.l2(z, c, wanted, 2.0),
    "gaussian": lambda z, c, wanted, s: timbre.gaussian(z, c, wanted, 2.0, s),
    "student": lambda z, c, wanted, s: timbre.student(z, c, wanted, 2.0),
}
ORIGINAL = {
    "original_l2": lambda z, c, wanted, s: timbre.original_l2(z, c, wanted),
    "original_gaussian": timbre.original_gaussian,
    "original_student": lambda z, c, wanted, s: timbre.original_student(z, c, wanted),
}
FORMS = {**CORRECTED, **ORIGINAL}
STEADY = {name: form for name, form in FORMS.items() if name != "original_gaussian"}  # that draw nothing
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
corrected = pytest.mark.parametrize("form", CORRECTED.values(), ids=CORRECTED)
steady = pytest.mark.parametrize("form", STEADY.values(), ids=STEADY)
seeds = st.integers(0, 2**31)
pytestmark = pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")  # it finds NaN on its way to a gradient, too


def random_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(seed: int, n: int = 9, dimensions: int = 4, spread: float = 1.0):
    """Return latents, classes of which 3 may miss, dissimilarities and spreads of 5 classes, of float64."""
    random = random_of(seed)
    z = spread * torch.randn(n, dimensions, generator=random, dtype=torch.float64)
    tables = (torch.rand(5, 5, generator=random, dtype=torch.float64).triu(1) + 0.1 for _ in range(2))
    wanted, deviation = (table.triu(1) + table.triu(1).T for table in tables)
    return z, torch.randint(2, 5, (n,), generator=random), wanted, deviation


def without(table: torch.Tensor, *pairs: tuple[int, int]) -> torch.Tensor:
    table = table.clone()
    for i, j in pairs:
        table[i, j] = table[j, i] = NAN
    return table


def loss_and_gradient(form, z, *rest):
    z = z.clone().requires_grad_()
    with torch.autograd.detect_anomaly(check_nan=True):
        loss = form(z, *rest)
        loss.backward()
    return loss.detach(), z.grad


def descended(wanted: torch.Tensor, dimensions: int, scale: float) -> torch.Tensor:
    """Return latents, one a class, that the l2 form has pulled from random places."""
    classes = torch.arange(len(wanted))
    z = torch.randn(len(wanted), dimensions, generator=random_of(2)).requires_grad_()
    optimizer = torch.optim.Adam([z], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        timbre.l2(z, classes, wanted, scale).backward()
        optimizer.step()
    return z.detach()


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_l2_by_hand():
    """Scale 10 asks for 5, 10 and 8 of the distances 5, 8 and 5."""
    assert timbre.l2(TRIANGLE, EACH, RATED, 10.0).item() == pytest.approx((0 + 2**2 + 3**2) / 3)
    assert timbre.l2(TRIANGLE, EACH, without(RATED, (0, 2)), 10.0).item() == pytest.approx((0 + 3**2) / 2)


def test_gaussian_by_hand():
    """Errors of 0, 0.2 and 0.3 of ratings with spreads 0.1, 0.2 and 0.4."""
    expected = [0, 1 / 2, (3 / 4) ** 2 / 2]
    assert timbre.gaussian(TRIANGLE, EACH, RATED, 10.0, SPREAD).item() == pytest.approx(sum(expected) / 3)
    none = timbre.gaussian(TRIANGLE, EACH, RATED, 10.0, torch.zeros(3, 3)).item()
    assert none == pytest.approx((0.2**2 + 0.3**2) / (2 * timbre.LEAST_SPREAD**2) / 3)


def test_pairs_without_a_spread_count_as_unknown():
    partly = timbre.gaussian(TRIANGLE, EACH, RATED, 10.0, without(SPREAD, (1, 2)))
    assert partly.item() == pytest.approx((0 + 1 / 2) / 2)
    assert timbre.gaussian(TRIANGLE, EACH, RATED, 10.0, torch.full((3, 3), NAN)).item() == 0


def test_student_by_hand():
    """Both others are at distance 5 of point 1, where 5 and 8 are wanted: P is 1/2 and 1/2, Q goes as 1/26 and 1/65."""
    q = [5 / 7, 2 / 7]
    expected = sum(0.5 * math.log(0.5 / share) for share in q)
    alone = without(RATED, (0, 2))  # so that points 0 and 2 have one other each, and nothing to share out
    assert timbre.student(TRIANGLE, EACH, alone, 10.0).item() == pytest.approx(expected / 3)


def test_student_is_that_of_its_formula():
    z, classes, wanted, _ = drawn(3, 6)
    classes = torch.tensor([0, 1, 2, 3, 4, 0])
    total = 0.0
    for i in range(6):
        others = [j for j in range(6) if classes[j] != classes[i]]
        p = torch.stack([torch.exp(-(z[i] - z[j]).square().sum()) for j in others])
        q = torch.stack([1 / (1 + (2 * wanted[classes[i], classes[j]]) ** 2) for j in others])
        total += (p / p.sum() * (p / p.sum() / (q / q.sum())).log()).sum().item()
    assert timbre.student(z, classes, wanted, 2.0).item() == pytest.approx(total / 6, rel=1e-9)


def test_the_original_l2_by_hand():
    """Both orders of 5 - 0.5, 8 - 1 and 5 - 0.8; the diagonal is met. A second point of class 0 at 5 asks for 0 from the first."""
    errors = [4.5, 7, 4.2]
    assert timbre.original_l2(TRIANGLE, EACH, RATED).item() == pytest.approx(math.sqrt(2 * sum(e * e for e in errors)))
    assert timbre.original_l2(TRIANGLE, EACH, RATED / 3).item() == pytest.approx(math.sqrt(2 * sum(e * e for e in errors)))
    one = timbre.original_l2(TRIANGLE[:2], torch.tensor([0, 0]), RATED)
    assert one.item() == pytest.approx(math.sqrt(2 * 25))


def original_gaussian(spread: torch.Tensor) -> float:
    torch.manual_seed(5)
    return timbre.original_gaussian(TRIANGLE, EACH, RATED, spread).item()


def test_the_original_gaussian_draws_around_the_ratings():
    """Spreads are scaled by their largest, the drawn ones by theirs; both triangles and the diagonal are drawn apart."""
    certain = timbre.original_l2(TRIANGLE, EACH, RATED).item()
    assert original_gaussian(torch.zeros(3, 3)) == pytest.approx(certain, rel=1e-3)
    torch.manual_seed(5)
    target = RATED + 1e-5 + (SPREAD / 0.4 + 1e-5) * torch.randn(3, 3, dtype=torch.float64)
    errors = timbre.distances(TRIANGLE) - target / target.max()
    assert original_gaussian(SPREAD) == pytest.approx(errors.norm().item()) == original_gaussian(7 * SPREAD)


def test_the_original_gaussian_without_a_spread():
    """The pair (0, 1) is left out; of the others 0.4 is still the largest spread."""
    torch.manual_seed(5)
    spread = without(SPREAD, (0, 1))
    target = RATED + 1e-5 + (spread.nan_to_num() / 0.4 + 1e-5) * torch.randn(3, 3, dtype=torch.float64)
    errors = timbre.distances(TRIANGLE) - target / target.max()
    errors[0, 1] = errors[1, 0] = 0
    assert original_gaussian(spread) == pytest.approx(errors.norm().item())


def test_the_original_student_of_two_points():
    """P is e / (1 + e) and 1 / (1 + e) at distance 1; 1 and 1 / 2 of a sum of 3 are the Qs of dissimilarities 0 and 1."""
    z, wanted = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0, 1], [1, 0]])
    near, far = (math.exp(-d) / (1 + math.exp(-1)) for d in (0, 1))
    expected = 2 * (near * math.log(near * 3) + far * math.log(far * 6))
    assert timbre.original_student(z, torch.tensor([0, 1]), wanted).item() == pytest.approx(expected)


def test_the_prior_of_a_class_by_hand():
    """KL(N(0, var 0.5) || N(0, 1)) is 0.0966 nats; with N(m, s) the ratio and the shift add up as they do for any Gaussian."""
    q = Normal(torch.zeros(3, 2), torch.full((3, 2), 0.5))
    places = torch.tensor([[1.0], [NAN], [0.5]])
    spreads = torch.tensor([0.25, 1.0, NAN])
    found = timbre.prior(q, torch.tensor([1, 0, 2]), places, spreads)
    each = 0.5 * (0.5 - 1 - math.log(0.5))
    assert each == pytest.approx(0.0966, abs=5e-5)
    narrow = 2 * 0.5 * (2 - 1 - math.log(2)) + 0.5 * 1 / 0.25
    assert found.tolist() == pytest.approx([2 * each, narrow, 2 * each])


def test_the_prior_is_reached_and_moves_with_its_class():
    places, spreads = torch.randn(4, 3, generator=random_of(0)), torch.rand(4, generator=random_of(1)) + 0.1
    classes = torch.tensor([3, 0, 3, 2])
    mean = torch.cat([places[classes], torch.zeros(4, 2)], 1)
    q = Normal(mean, spreads[classes, None].expand(4, 5))
    assert timbre.prior(q, classes, places, spreads) == pytest.approx(torch.zeros(4), abs=1e-6)
    unrated = timbre.prior(q, classes, torch.full_like(places, NAN), spreads)
    assert torch.allclose(unrated, losses.kl(q))


def test_unrated_classes_leave_finite_gradients_of_the_prior():
    mean, variance = torch.ones(2, 2, requires_grad=True), torch.full((2, 2), 0.5, requires_grad=True)
    places, spreads = torch.tensor([[NAN, NAN], [1.0, 2.0]]), torch.tensor([NAN, 0.3])
    timbre.prior(Normal(mean, variance), torch.tensor([0, 1]), places, spreads).sum().backward()
    assert mean.grad.isfinite().all()
    assert variance.grad.isfinite().all()


def test_a_place_has_no_more_dimensions_than_latents():
    q = Normal(torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(RuntimeError):
        timbre.prior(q, torch.tensor([0]), torch.zeros(1, 3), torch.ones(1))


# -- minima -----------------------------------------------------------------------------------------------------------


@given(seeds, st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_latents_at_the_distances_wanted_have_no_loss(seed, scale):
    z = torch.randn(6, 3, generator=random_of(seed), dtype=torch.float64)
    d = timbre.distances(z)
    classes = torch.arange(6)
    assert timbre.l2(z, classes, d / scale, scale).item() == pytest.approx(0, abs=1e-12)
    assert timbre.gaussian(z, classes, d / scale, scale, torch.ones(6, 6)).item() == pytest.approx(0, abs=1e-12)
    matched = d.square().expm1().sqrt() / scale  # exp(-d^2) = 1 / (1 + (scale D)^2)
    assert timbre.student(z, classes, matched, scale).item() == pytest.approx(0, abs=1e-9)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_student_is_a_divergence(seed):
    z, classes, wanted, _ = drawn(seed)
    assert timbre.student(z, classes, wanted, 3.0).item() >= -1e-12


@given(seeds, st.integers(1, 40), st.floats(0, 100))
@settings(max_examples=30, deadline=None)
def test_the_original_student_never_falls_below_n_ln_n(seed, n, spread):
    z, classes, wanted, _ = drawn(seed, n, spread=spread)
    assert timbre.original_student(z, classes, wanted).item() >= n * math.log(n) - 1e-9


def test_the_original_student_of_a_batch_of_64():
    """266.2 at least: what the corrected form, 0 at its minimum, does not carry along."""
    z, classes, wanted, _ = drawn(0, 64)
    assert timbre.original_student(z, classes, wanted).item() > 266
    assert timbre.student(z, classes, wanted, 1.0).item() < 10


def test_descent_finds_the_places():
    """From random latents to distances as wanted."""
    wanted = timbre.distances(torch.randn(5, 2, generator=random_of(0)))
    assert torch.allclose(timbre.distances(descended(wanted, 3, 3.0)), 3 * wanted, atol=0.1)


# -- gradients and what must not matter -------------------------------------------------------------------------------


@steady
def test_gradients_are_those_of_the_loss(form):
    z, classes, wanted, spread = drawn(1, 7, 3)
    wanted = without(wanted, (2, 3))
    assert gradcheck(lambda z: form(z, classes, wanted, spread), z.requires_grad_())
    means = timbre.centroids(z, classes)[1]
    assert len(means) == 3
    assert gradcheck(lambda z: form(*timbre.centroids(z, classes), wanted, spread), z)


@steady
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_turning_mirroring_and_moving_change_nothing(form, seed):
    z, classes, wanted, spread = drawn(seed)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=random_of(seed), dtype=torch.float64))[0]
    moved = z @ turn + torch.randn(4, generator=random_of(seed + 1), dtype=torch.float64)
    assert form(moved, classes, wanted, spread).item() == pytest.approx(form(z, classes, wanted, spread).item(), rel=1e-9, abs=1e-9)


@steady
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_order_of_a_batch_and_the_numbers_of_classes_mean_nothing(form, seed):
    z, classes, wanted, spread = drawn(seed)
    expected = pytest.approx(form(z, classes, wanted, spread).item(), rel=1e-9, abs=1e-12)
    order = torch.randperm(len(z), generator=random_of(seed))
    assert form(z[order], classes[order], wanted, spread).item() == expected
    names = torch.randperm(5, generator=random_of(seed))
    renamed = [table[names][:, names] for table in (wanted, spread)]
    assert form(z, names.argsort()[classes], *renamed).item() == expected


@corrected
@given(seed=seeds, times=st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_strength_does_not_depend_on_the_size_of_a_batch(form, seed, times):
    z, classes, wanted, spread = drawn(seed)
    many = form(z.repeat(times, 1), classes.repeat(times), wanted, spread)
    assert many.item() == pytest.approx(form(z, classes, wanted, spread).item(), rel=1e-9, abs=1e-12)


def test_that_of_the_original_does():
    z, classes, wanted, _ = drawn(0)
    twice = timbre.original_l2(z.repeat(2, 1), classes.repeat(2), wanted)
    assert twice.item() == pytest.approx(2 * timbre.original_l2(z, classes, wanted).item())


@corrected
def test_what_nobody_rated_does_not_count(form):
    z, classes, wanted, spread = drawn(4)
    unrated = without(wanted, *((2, k) for k in range(5)))
    kept = classes != 2
    assert 0 < kept.sum() < len(z)
    loss, gradient = loss_and_gradient(form, z, classes, unrated, spread)
    assert loss.item() > 0
    assert (gradient[~kept] == 0).all()
    among = form(z[kept], classes[kept], wanted, spread).item()
    assert loss.item() == pytest.approx(among, rel=1e-9)


# -- batches that have nothing to say ---------------------------------------------------------------------------------

POINTS = {
    "apart": torch.randn(6, 4, generator=random_of(0)),
    "one point": torch.ones(6, 4),
    "duplicates": torch.randn(3, 4, generator=random_of(0)).repeat(2, 1),
    "near": 1 + 1e-4 * torch.randn(6, 4, generator=random_of(0)),
    "nearly one": 1 + 1e-7 * torch.randn(6, 4, generator=random_of(0)),
    "far": 1e4 * torch.randn(6, 4, generator=random_of(0)),
}
BATCHES = {
    "mixed": torch.tensor([0, 1, 2, 0, 1, 2]),
    "one instrument": torch.tensor([1] * 6),
    "one example": torch.tensor([1]),
    "two": torch.tensor([0, 2]),
}
TABLES = {
    "rated": RATED,
    "partly": without(RATED, (0, 1)),
    "an unrated class": without(RATED, (0, 1), (0, 2)),
    "unrated": torch.full((3, 3), NAN),
    "equal": torch.zeros(3, 3),
}


@each_form
@pytest.mark.parametrize("points", POINTS)
def test_values_and_gradients_are_finite(form, points):
    spreads = (SPREAD, without(SPREAD, (0, 2)), torch.full((3, 3), NAN))
    for (batch, classes), (table, wanted), spread in itertools.product(BATCHES.items(), TABLES.items(), spreads):
        loss, gradient = loss_and_gradient(form, POINTS[points][: len(classes)], classes, wanted.float(), spread.float())
        assert loss.isfinite(), (batch, table)
        assert gradient.isfinite().all(), (batch, table)
        if form in CORRECTED.values() and (batch not in ("mixed", "two") or table == "unrated"):
            assert loss == 0
            assert (gradient == 0).all()


def test_the_tables_stay_as_they_are():
    wanted, spread = without(RATED, (0, 1)), without(SPREAD, (0, 1))
    for form in FORMS.values():
        form(TRIANGLE, EACH, wanted, spread)
    assert torch.equal(wanted.nan_to_num(9), without(RATED, (0, 1)).nan_to_num(9))
    assert torch.equal(spread.nan_to_num(9), without(SPREAD, (0, 1)).nan_to_num(9))


def test_distances_of_near_points_are_exact():
    """The Gram trick would lose them: |z|^2 is 1e6 times their squared distance, and more."""
    z = torch.tensor([[100.0, 0], [100.0, 1e-3]])
    assert timbre.distances(z)[0, 1].item() == pytest.approx(1e-3, rel=1e-6)


def test_centroids_are_means_of_the_classes_that_occur():
    z = torch.tensor([[0.0, 2], [4, 4], [2, 0], [7, 7]])
    means, present = timbre.centroids(z, torch.tensor([4, 1, 4, 2]))
    assert present.tolist() == [1, 2, 4]
    assert means.tolist() == [[4, 4], [7, 7], [1, 1]]


def test_centroids_share_the_gradient_out():
    z = torch.randn(6, 4, generator=random_of(0)).requires_grad_()
    timbre.centroids(z, torch.tensor([0, 0, 0, 1, 1, 2]))[0].sum().backward()
    assert torch.allclose(z.grad[:, 0], torch.tensor([1, 1, 1, 1.5, 1.5, 3]) / 3)


def test_ratings_in_the_order_of_another_table_pull_elsewhere():
    """The original looked up its ratings by class ids of the data set: latents as rated have a loss by that order."""
    names = ("Clarinet-Bb", "Alto-Sax", "Trumpet-C", "Violoncello", "French-Horn", "Oboe")
    right, wrong = (torch.from_numpy(ratings("pooled", order).mean).float() for order in (names, names[::-1]))
    z = descended(right, 8, 8.0)
    assert timbre.l2(z, torch.arange(6), right, 8.0) < 0.5 < 2 < timbre.l2(z, torch.arange(6), wrong, 8.0)


def test_the_papers_student_form_by_hand():
    z, classes = torch.tensor([[0.0], [1.0], [3.0]]), torch.arange(3)
    wanted = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 1.5], [2.0, 1.5, 0.0]])
    apart = ~torch.eye(3, dtype=torch.bool)
    p = (-(z - z.T).square()).exp() * apart
    p, q = p / p.sum(1, keepdim=True), apart / (1 + wanted.square())
    expected = torch.special.xlogy(p, p / (q / q.sum()))[apart].sum()
    assert timbre.paper_student(z, classes, wanted).item() == pytest.approx(expected.item(), rel=1e-5)
