"""Where and how a latent constraint computes: in half precision, and on a GPU."""

import pytest
import torch

from models.epochs import on_device
from models.latent_constraint_config import Config
from models.latent_constraint_nets import Gated
from models.latent_constraint_presets import PRESETS
from models.phrase import PHRASE
from models.training import Trainer
from tests.constraint_runs import APT, CRITIC, LINEAR, constraint, everything, make_base
from utils.device import autocast

CPU = torch.device("cpu")
WISHING = {**CRITIC, "attributes": ("density",)}
FORMS = {
    "mlp": {"noise": 1.0},
    "linear": {**LINEAR, "reconstruction": "l2norm", "sequence_loss": 0.02},
    "gated": {"form": "gated"},
    "actor": WISHING,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"), **APT)


# -- half precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
def test_gates_are_in_single_precision(kept):
    torch.manual_seed(0)
    made, x, label = Gated(8, (7,), 8, told=3, kept=kept), torch.randn(4, 8), torch.eye(3)[[0, 1, 2, 0]]
    expected = made(x, label)
    with autocast(CPU, "bf16"):
        found = made(x, label)
    assert found.dtype == torch.float32 and torch.allclose(found, expected, atol=0.05) and not torch.equal(found, expected)
    with torch.no_grad():
        made.out.bias[8:] = -100.0
    with autocast(CPU, "bf16"):
        assert torch.equal(made(x, label), x) == kept  # the identity loses no bit


@pytest.mark.parametrize("words", FORMS.values(), ids=FORMS)
def test_every_form_trains_in_half_precision(base, tmp_path, words):
    made = constraint(base, **{**words, "precision": "bf16", "lr": 0.01})
    batch = everything(made)
    made.prepare([batch])
    for phase in made.phases():
        full = made(batch, 0, phase)
        with autocast(CPU, "bf16"):
            half = made(batch, 0, phase)
        assert half.total.dtype == torch.float32 and half.total.item() == pytest.approx(full.total.item(), rel=0.05, abs=1e-3)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    trainer, found = Trainer(made.train(), tmp_path, CPU), []
    for _ in range(25):
        trainer.step(batch)
        found.append(trainer.at.sums.get("nll_latent"))
        trainer.at.sums.clear()
    changed = {name for name, tensor in made.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == before.keys() - {"constraint.deviation", "constraint.limits"}
    assert {tensor.dtype for tensor in made.state_dict().values()} <= {torch.float32, torch.float64}  # limits of classes are exact
    assert all(tensor.isfinite().all() for tensor in made.state_dict().values())
    if words is not WISHING:  # what a critic costs may rise
        assert sum(found[-3:]) < 0.8 * sum(found[:3])


# -- a GPU ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("words", [PRESETS["lc-cat-mel_2bar_small"], WISHING], ids=["lc", "actor"])
def test_a_step_on_a_gpu(tmp_path, words):
    """Gradients go through the LSTMs of the base, which stays as it is."""
    made = constraint(make_base(tmp_path / "base", "melody"), **{"hidden": Config.hidden, **words})
    there, batch = torch.device("cuda"), everything(made)
    trainer = Trainer(made, tmp_path, there)
    made.attach()
    try:
        before = {name: tensor.clone() for name, tensor in made.base.state_dict().items()}
        batch = on_device(batch, there)
        made.prepare([batch])
        old = {name: tensor.clone() for name, tensor in made.named_parameters()}
        made.train()
        trainer.step(batch)
        assert {p.device.type for p in made.parameters()} == {"cuda"} and all(p.isfinite().all() for p in made.parameters())
        assert not any(torch.equal(p, old[name]) for name, p in made.named_parameters())
        assert all(torch.equal(before[name], tensor) for name, tensor in made.base.state_dict().items())
        made.eval()
        assert all(made(batch, 0, phase).total.isfinite() for phase in made.phases())
        with torch.no_grad():
            assert made.decode(made.sample(2).to(there), PHRASE).shape == (2, *made.representations[PHRASE].shape)
    finally:
        made.base.to("cpu")  # there is one in a process
