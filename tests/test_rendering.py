import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.audio import Audio
from data.notes import Notes, Track
from data.parts import assign
from models.rendering import Gate, Player, as_it_is, superposed, up_to, write_sound
from models.runs import load_run
from tests.runs import make_run
from utils.config import InputError
from utils.play_figures import COLUMNS, Picture

RATE = 22050


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "solo")


@pytest.fixture(scope="module")
def duo(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "duo", instruments=("flute", "cello"))


def test_sampling_is_repeatable_and_does_not_flutter(run):
    x = torch.rand(1, 410).expand(5, -1)
    z = Player(load_run(run), sample=True, seed=3).latents(x, "signal", [()])
    assert (z == z[0]).all()
    assert torch.equal(z, Player(load_run(run), sample=True, seed=3).latents(x, "signal", [()]))
    assert not torch.equal(z, Player(load_run(run), sample=True, seed=4).latents(x, "signal", [()]))
    assert not torch.equal(z, Player(load_run(run)).latents(x, "signal", [()]))


def test_blocks_of_a_score_are_parts_of_the_whole(duo, monkeypatch):
    player = Player(load_run(duo), sample=True)
    labels = player.representation("symbol")
    notes = Notes([0, 0.3], [0.5, 0.8], [69, 72], [96, 60], [0, 1], (Track("flute"), Track("cello")))
    layer = assign(labels, notes)[0]
    whole = torch.cat(list(player.magnitudes(player.score(labels, layer, 0, 250, 313.0))))
    monkeypatch.setattr("models.rendering.BLOCK", 30)
    parts = torch.cat(list(player.magnitudes(player.score(labels, layer, 0, 250, 313.0))))
    assert torch.allclose(whole, parts, rtol=1e-4)
    assert whole.shape == (250, 410) and (whole[:240] > 0).any(1).all()


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_superpositions_have_the_gains_of_their_sources(sources, seed):
    rng = np.random.default_rng(seed)
    gain = rng.random((6, sources)) * rng.integers(0, 2, (6, sources))
    note = rng.integers(0, 100, (6, sources))
    chords, weight = superposed(note, gain)
    assert (weight >= 0).all()
    assert ((chords >= 0) * weight[..., None]).sum(1) == pytest.approx(gain)
    assert ((chords == note[:, None]) | (chords == -1)).all()


def test_equal_gains_are_one_mixture():
    chords, weight = superposed(np.array([[5, 7]]), np.array([[0.5, 0.5]]))
    assert weight.tolist() == [[0, 0.5]] and chords[0, 1].tolist() == [5, 7]


def test_pieces_scale_what_latents_decode_to(run):
    player = Player(load_run(run))
    z = torch.randn(3, 4)
    (plain,), (scaled,) = player.magnitudes([as_it_is(z)]), player.magnitudes([as_it_is(z, torch.tensor([0.0, 1.0, 2.0]))])
    assert torch.allclose(plain * torch.tensor([[0.0], [1.0], [2.0]]), scaled)


def test_sound_is_cut_and_written_whole(tmp_path):
    pieces = [np.full(100, 0.5), np.full(100, -0.25)]
    write_sound(tmp_path / "a.wav", up_to(pieces, lambda: 150), RATE)
    sound = Audio.load(tmp_path / "a.wav")
    assert sound.samples.tolist() == [0.5] * 100 + [-0.25] * 50
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_sound_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_sound(tmp_path / "none" / "a.wav", [np.zeros(3)], RATE)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=6))
def test_pictures_stay_small_and_true(lengths):
    picture, total = Picture(), sum(lengths)
    start = 0
    for length in lengths:
        picture.add(np.arange(start, start + length, dtype=float)[:, None])
        start += length
    if total:
        image = picture.image[0]
        assert len(image) <= COLUMNS + 1
        assert len(image) == -(-total // picture.stride)
        assert (np.diff(image) > 0).all()
        assert image[0] == pytest.approx((min(picture.stride, total) - 1) / 2)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_gates_open_where_frames_sound(lengths, seed):
    rng = np.random.default_rng(seed)
    gains = [torch.from_numpy(rng.integers(0, 2, n)).float() for n in lengths]
    gate, total = Gate(10.5), int(10.5 * sum(lengths))
    pieces = gate.watching(as_it_is(torch.zeros(len(gain), 4), gain) for gain in gains)
    consumed = [piece.mix for piece in pieces]
    cuts = np.sort(rng.integers(0, total, 4))
    sound = np.concatenate(list(gate.applied(np.split(np.ones(total), cuts))))
    middles = np.round((np.arange(sum(lengths)) + 0.5) * 10.5).astype(int)
    assert len(consumed) == len(lengths) and len(sound) == total
    assert sound[middles] == pytest.approx(torch.cat(gains).numpy(), abs=0.1)
