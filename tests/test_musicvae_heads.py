import itertools
import math

import pytest
import torch

from models.musicvae_heads import HEADS, Bernoulli, Categorical, Nade, Performed, Several


def uniform(head, n, seed=0):
    return torch.rand(n, head.draws, generator=torch.Generator().manual_seed(seed))


def bits(d: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=d)))


@pytest.mark.parametrize("head", [Bernoulli(4), Nade(4)])
def test_probabilities_of_all_steps_sum_to_one(head):
    logits = torch.randn(head.outputs, generator=torch.Generator().manual_seed(1)).expand(16, -1)
    assert (-head.nll(logits, bits(4))).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_several_tokens_add_up():
    head = Several((3, 2))
    x = torch.tensor(list(itertools.product(range(3), range(2))))
    logits = torch.randn(5).expand(6, -1)
    assert (-head.nll(logits, x)).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_categorical_nll_is_minus_the_log_of_the_softmax():
    logits, x = torch.randn(2, 3, 5), torch.tensor([[0, 4, 2], [1, 1, 3]])
    assert torch.allclose(Categorical(5).nll(logits, x), -logits.log_softmax(-1).gather(-1, x[..., None])[..., 0])


def test_nade_follows_its_recurrence():
    head, d = Nade(3), 3
    logits, x = torch.randn(1, head.outputs), torch.tensor([[1.0, 0.0, 1.0]])
    a, log_p = logits[0, :128], 0.0
    for i in range(d):
        p = torch.sigmoid(logits[0, 128 + i] + head.w_dec[i] @ torch.sigmoid(a)).item()
        log_p += math.log(p if x[0, i] else 1 - p)
        a = a + x[0, i] * head.w_enc[i]
    assert head.nll(logits, x).item() == pytest.approx(-log_p, abs=1e-5)


@pytest.mark.parametrize("head", [Categorical(4), Several((3, 2)), Bernoulli(3), Nade(3)], ids=lambda head: type(head).__name__)
def test_what_is_drawn_has_the_probabilities_of_the_head(head):
    n = 40_000
    logits = 1.5 * torch.randn(head.outputs, generator=torch.Generator().manual_seed(3)).expand(n, -1)
    with torch.no_grad():
        drawn = head.draw(logits, 1.0, uniform(head, n))
        found, counts = drawn.unique(dim=0, return_counts=True)
        expected = (-head.nll(logits[: len(found)], found)).exp()
    assert (counts / n - expected).abs().max() < 0.01


@pytest.mark.parametrize("head", [Categorical(4), Several((3, 2)), Bernoulli(3)], ids=lambda head: type(head).__name__)
def test_at_temperature_0_the_most_likely_is_taken(head):
    logits = torch.randn(7, head.outputs)
    best = head.draw(logits, 0.0, uniform(head, 7))
    others = head.draw(logits.repeat(200, 1), 1.0, uniform(head, 1400))
    assert (head.nll(logits, best).repeat(200) <= head.nll(logits.repeat(200, 1), others) + 1e-6).all()


def test_a_low_temperature_draws_what_is_likely_more_often():
    head, logits = Categorical(3), torch.tensor([[1.0, 0.0, -1.0]]).expand(5000, -1)
    shares = [(head.draw(logits, t, uniform(head, 5000)) == 0).float().mean().item() for t in (0.25, 1.0, 4.0)]
    assert shares[0] > 0.97 > shares[1] > shares[2]
    assert shares[1] == pytest.approx(torch.tensor([1.0, 0.0, -1.0]).softmax(0)[0].item(), abs=0.03)


def test_draws_stay_among_the_tokens_at_the_ends_of_the_interval():
    head, logits = Categorical(4), torch.randn(2, 4)
    ends = torch.tensor([[0.0], [1 - 2**-24]])
    assert ((head.draw(logits, 1.0, ends) >= 0) & (head.draw(logits, 1.0, ends) < 4)).all()


def groove(n=2):
    x = torch.zeros(n, 27)
    x[:, 0], x[:, 9], x[:, 18] = 1, 0.5, -0.25
    return x


def test_the_loss_of_a_groove_is_that_of_hits_and_squared_errors():
    logits, x = torch.zeros(2, 27), groove()
    every = 9 * math.log(2) + 8 * 0.25 + 0.0 + 0.25**2  # sigmoid(0) = 0.5 where the velocity is 0, but for the one hit
    assert torch.allclose(Performed().nll(logits, x), torch.full((2,), every))
    assert torch.allclose(Performed(struck=True).nll(logits, x), torch.full((2,), 9 * math.log(2) + 0.25**2))


def test_a_groove_is_drawn_with_silence_where_there_is_no_hit():
    head = Performed()
    logits = torch.randn(100, 27)
    hits, velocities, offsets = head.draw(logits, 1.0, uniform(head, 100)).chunk(3, -1)
    assert set(hits.unique().tolist()) == {0.0, 1.0}
    assert ((velocities > 0) == (hits > 0)).all() and (velocities <= 1).all() and (offsets.abs() <= 1).all()
    assert (offsets[hits == 0] == 0).all()


@pytest.mark.parametrize(
    "head", [Categorical(4), Several((3, 2)), Bernoulli(3), Nade(3), Performed()], ids=lambda h: type(h).__name__
)
def test_what_a_decoder_is_told_is_its_row_of_the_table(head):
    x = head.draw(torch.randn(6, head.outputs), 1.0, uniform(head, 6))
    table = torch.randn(head.width, 8)
    if isinstance(head, Categorical):
        feed = torch.eye(4)[x]
    elif isinstance(head, Several):
        feed = torch.cat([torch.eye(3)[x[:, 0]], torch.eye(2)[x[:, 1]]], 1)
    else:
        feed = x
    assert torch.allclose(head.told(x, table), feed @ table, atol=1e-6)


def test_heads_by_name():
    assert {name: type(make(3)) for name, make in HEADS.items()} == {"categorical": Categorical, "nade": Nade, "boolean": Bernoulli}
