"""Single axes, blends with a frozen model, wishes, and the command lines of other programs."""

import numpy as np
import pytest
import torch

import lt_analyze
import lt_midi
import lt_play
from data import midi
from models.latent_files import mark
from models.losses import Normal
from models.phrase import PHRASE, ConstrainedModel
from models.run_flags import is_of
from models.runs import load_run
from tests.phrase_runs import make_phrase_run, names, silent, table, whole
from tests.runs import make_run
from tests.test_play_phrases import arrays, expected, song, struck
from utils.config import InputError
from utils.device import generator

SMALL, BASE = 3, 8  # sizes of latents
WISHES = {"hit_density": ("little", "middle", "much"), "kick_share": ("little", "much")}


class Small(ConstrainedModel):
    """Three axes of which the base's are fixed sums; a wish moves them along one more direction each."""

    wishes = WISHES

    def __init__(self, base):
        super().__init__()
        self.base, self.config, self.representations = base, base.config, base.representations
        self.latent_shape = (SMALL,)
        random = torch.Generator().manual_seed(0)
        self.matrix = torch.randn(SMALL, BASE, generator=random)
        self.moved = torch.randn(len(WISHES), BASE, generator=random)

    def encode(self, x, source, condition=None):
        mean = self.base.encode(x, source).mean @ self.matrix.T
        return Normal(mean, torch.ones_like(mean))

    def to_base(self, z, condition=None):
        told = torch.zeros(len(z), len(WISHES)) if condition is None else condition + 1.0
        assert told.shape == (len(z), len(WISHES))
        return z @ self.matrix + told @ self.moved

    def decode(self, z, target, condition=None, temperature=0.0, random=None):
        return self.base.decode(self.to_base(z, condition), target, None, temperature, random)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("hits"))


@pytest.fixture(scope="module", params=["melody", "groove", "trio"])
def other(request, tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def small(run, monkeypatch):
    """Let the run be what a small model stands on; return the latter."""
    model = Small(load_run(run)).eval()
    monkeypatch.setattr("models.runs.load_run", lambda *args: model)
    return model


def undrawn(panels, paths, span, most):
    """Write nothing in the place of a figure, which takes long to draw."""
    for path in paths:
        path.touch()


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Play and draw nothing, unless a test is about every kind."""
    monkeypatch.setattr("models.phrase_files.save_notes", silent)
    if "every_kind" not in request.node.name:
        monkeypatch.setattr("utils.phrase_figures.phrases", undrawn)


def play(mode, run, *argv):
    return lt_play.main([mode, "-m", str(run), *map(str, argv)])


def refused(capsys, out, mode, run, *argv):
    """Return the one line that says why nothing was written."""
    assert play(mode, run, *argv, "-o", out) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and not told.out and not (out.exists() and list(out.iterdir()))
    return errors[0]


def files_of(stem, number):
    each = [f"{stem}_{place}{end}" for place in range(number) for end in (".mid", ".wav")]
    return [stem + end for end in (".mid", ".wav")] + each + [stem + end for end in (".csv", ".pdf", ".npz")]


# -- sweep ------------------------------------------------------------------------------------------------------------


def test_one_axis_is_swept_and_the_others_stay(run, tmp_path, capsys):
    assert play("sweep", run, "--axis", 2, 5, "--low", "-3", "--high", "4.5", "-n", 6, "-o", tmp_path) == 0
    files = [*files_of("sweep_axis2", 6), *files_of("sweep_axis5", 6)]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in files] and names(tmp_path) == sorted(files)
    model = load_run(run)
    for axis in (2, 5):
        known, rows = arrays(tmp_path / f"sweep_axis{axis}.npz"), table(tmp_path / f"sweep_axis{axis}.csv")
        z = np.zeros((6, BASE), np.float32)
        z[:, axis - 1] = (-3, -1.5, 0, 1.5, 3, 4.5)
        np.testing.assert_array_equal(known["z"], z)
        np.testing.assert_array_equal(known["phrases"], model.decode(torch.from_numpy(z), PHRASE))
        assert struck(tmp_path / f"sweep_axis{axis}.mid") == expected(run, known["phrases"])
        assert struck(tmp_path / f"sweep_axis{axis}_3.mid") == expected(run, known["phrases"][3:4])
        assert [float(row["value"]) for row in rows] == [-3, -1.5, 0, 1.5, 3, 4.5]
        assert [row["title"] for row in rows][::5] == [f"axis {axis} at -3", f"axis {axis} at 4.5"]
        density = known["phrases"].sum((1, 2)) / 32
        assert [float(row["hit_density"]) for row in rows] == pytest.approx(density.tolist(), abs=1e-4)


def test_the_other_axes_stay_at_a_phrase_or_a_draw(run, tmp_path):
    ways = {
        "file": ("-i", song(run, 3), "--bar", 2),
        "draw": ("--from_prior",),
        "again": ("--from_prior",),
        "new": ("--from_prior", "--seed", 1),
    }
    for folder, flags in ways.items():
        assert play("sweep", run, "--axis", 1, "-n", 3, "-g", 0, "-o", tmp_path / folder, *flags) == 0
    z = {folder: arrays(tmp_path / folder / "sweep_axis1.npz")["z"] for folder in ways}
    line = whole(song(run, 3), run).flatten(0, 1)
    mean = load_run(run).encode(line[None, 16:48], PHRASE).mean.detach()[0]
    np.testing.assert_allclose(z["file"][:, 1:], np.tile(mean[1:], (3, 1)), atol=1e-6)
    assert all(each[:, 0].tolist() == [-3, 0, 3] and not np.ptp(each[:, 1:], axis=0).any() for each in z.values())
    assert (z["draw"] == z["again"]).all() and not (z["draw"][:, 1:] == z["new"][:, 1:]).any()
    assert midi.parse(tmp_path / "file" / "sweep_axis1_2.mid").tempos[0].qpm == pytest.approx(93)


@pytest.mark.parametrize(("size", "swept"), [(3, 3), (17, 4)])
def test_without_axes_all_or_the_first_are_swept(tmp_path, size, swept):
    run = make_phrase_run(tmp_path, latent_dim=size)
    assert play("sweep", run, "-n", 2, "-g", 0, "-o", tmp_path / "out") == 0
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.csv")) == [f"sweep_axis{axis + 1}" for axis in range(swept)]


def test_every_kind_is_swept(other, tmp_path):
    assert play("sweep", other, "--axis", 1, "--low", -1000, "--high", 1000, "-n", 2, "-o", tmp_path) == 0
    assert names(tmp_path) == sorted(files_of("sweep_axis1", 2))


def test_a_small_model_is_swept(small, run, tmp_path):
    assert play("sweep", run, "--wish", "kick_share=much", "-g", 0, "-o", tmp_path) == 0
    known = arrays(tmp_path / "sweep_axis3.npz")
    assert known["z"].shape == (7, SMALL) and len(names(tmp_path)) == SMALL * (4 + 2 * 7)
    x = small.decode(torch.from_numpy(known["z"]), PHRASE, torch.tensor([[-1, 1]] * 7))
    np.testing.assert_array_equal(known["phrases"], x)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--axis", "9"], "--axis 9: this run has the axes 1 to 8"),
        (["-n", "1"], "-n 1: along an axis there are 2 places at least"),
        (["--low", "3"], "--low 3 --high 3: the first must be less than the second"),
        (["--from_prior", "-i", "a.mid"], "--from_prior and -i: the other axes stay at a draw or at a phrase"),
        (["-i", "a.mid", "b.mid"], "2 files are given with -i: sweep takes a phrase of one"),
        (["-i", "none.mid"], "none.mid: no such file"),
        (["-n", "999999999"], "give less of -n or --axis"),
        (["--tempo", "4", "-n", "99"], "last longer than 3600 s"),
        (["--wish", "hit_density=much"], "--wish hit_density=much: this run knows no wishes; leave it out"),
    ],
)
def test_sweeps_that_cannot_be(run, tmp_path, capsys, flags, message):
    assert message in refused(capsys, tmp_path / "out", "sweep", run, *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--axis", "0"], "argument --axis: must be a whole number, 1 or more, not 0"),
        (["--low", "nan"], "argument --low: must be a finite number from -1000 to 1000, not nan"),
        (["--high", "1001"], "argument --high: must be a finite number from -1000 to 1000, not 1001"),
        (["--stride", "1"], "sweep: takes no --stride"),
        (["--pairs", "2"], "sweep: takes no --pairs"),
    ],
)
def test_flags_of_sweeps(run, flags, message):
    with pytest.raises(InputError, match=message):
        play("sweep", run, *flags)


@pytest.mark.parametrize("name", ["sweep_axis1", "sweep_axis1_1"])
def test_what_is_read_is_not_replaced(run, tmp_path, capsys, name):
    path = tmp_path / f"{name}.mid"
    path.write_bytes(song(run).read_bytes())
    assert play("sweep", run, "-i", path, "--axis", 1, "-o", tmp_path) == 2
    assert "would replace" in capsys.readouterr().err and names(tmp_path) == [path.name]


# -- blend ------------------------------------------------------------------------------------------------------------


def test_blends_end_at_what_both_models_draw(small, run, tmp_path, capsys):
    assert play("blend", run, "-n", 3, "--pairs", 2, "--temperature", 0, "--seed", 4, "-o", tmp_path) == 0
    files = [*files_of("blend_0", 3), *files_of("blend_1", 3)]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in files] and names(tmp_path) == sorted(files)
    for pair in range(2):
        known, random = arrays(tmp_path / f"blend_{pair}.npz"), generator(4, "blend", pair)
        plain, own = small.base.sample(1, random), small.sample(1, random)
        np.testing.assert_allclose(known["z"][[0, 2]], torch.cat([plain, small.to_base(own)]), rtol=1e-5, atol=1e-6)
        lengths = np.linalg.norm(known["z"], axis=1)
        assert lengths[1] == pytest.approx((lengths[0] + lengths[2]) / 2, rel=1e-5)  # along a great circle
        np.testing.assert_array_equal(known["phrases"][0], small.base.decode(plain, PHRASE)[0])
        np.testing.assert_array_equal(known["phrases"][2], small.decode(own, PHRASE)[0])
        assert struck(tmp_path / f"blend_{pair}.mid") == expected(run, known["phrases"])
        assert [float(row["share"]) for row in table(tmp_path / f"blend_{pair}.csv")] == [0, 0.5, 1]
    assert not np.allclose(*(arrays(tmp_path / f"blend_{pair}.npz")["z"] for pair in range(2)))


def test_a_blend_goes_straight_where_asked(small, run, tmp_path):
    assert play("blend", run, "--interp_order", 1, "-g", 0, "-o", tmp_path) == 0
    z = arrays(tmp_path / "blend_0.npz")["z"]
    np.testing.assert_allclose(z, z[0] + np.linspace(0, 1, 5)[:, None] * (z[4] - z[0]), atol=1e-5)


def test_a_blend_with_a_phrase_and_a_wish(small, run, tmp_path):
    flags = ("-i", song(run, 2), "--wish", "hit_density=much", "-n", 2, "-g", 0)
    assert play("blend", run, *flags, "-o", tmp_path) == 0
    x = whole(song(run, 2), run)[:1]
    end = small.to_base(small.encode(x, PHRASE).mean, torch.tensor([[2, -1]]))
    np.testing.assert_allclose(arrays(tmp_path / "blend_0.npz")["z"][1], end[0].detach(), rtol=1e-5, atol=1e-6)
    assert midi.parse(tmp_path / "blend_0.mid").tempos[0].qpm == pytest.approx(92)


def test_blends_are_latents_of_the_base(small, run, tmp_path, monkeypatch):
    assert play("blend", run, "--temperature", 0, "-g", 0, "-o", tmp_path) == 0
    monkeypatch.undo()
    monkeypatch.setattr("models.phrase_files.save_notes", silent)
    assert str(arrays(tmp_path / "blend_0.npz")["run"]) == mark(load_run(run))
    assert play("decode", run, "-i", tmp_path / "blend_0.npz", "-g", 0, "-o", tmp_path / "out") == 0
    for place in range(5):
        name = f"blend_0_{place}.mid"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-n", "1"], "-n 1: from one phrase to another there are 2 at least"),
        (["--pairs", "999999999"], "give less of -n or --pairs"),
        (["-i", "a", "b"], "2 files are given with -i: blend takes a phrase of one"),
    ],
)
def test_blends_that_cannot_be(small, run, tmp_path, capsys, flags, message):
    assert message in refused(capsys, tmp_path / "out", "blend", run, *flags)


def test_only_what_stands_on_another_is_blended(run, tmp_path, capsys):
    told = refused(capsys, tmp_path / "out", "blend", run)
    assert f"{run}: blend: takes a run that stands on another one, and this one decodes by itself" in told


# -- wishes -----------------------------------------------------------------------------------------------------------


def test_wishes_are_told(small, run, tmp_path, monkeypatch):
    monkeypatch.setattr("models.phrase.STEPS", 64)  # two phrases at once
    wishes, ids = ("--wish", "kick_share=little", "hit_density=middle"), torch.tensor([[1, 0]])
    modes = {"sample": ("-n", 3), "walk": ("-n", 3), "interpolate": ("-n", 3, "-i", song(run), song(run, 1))}
    stems = {"sample": "samples", "walk": "walk", "interpolate": "beat_0_beat_1"}
    for mode, flags in modes.items():
        assert play(mode, run, *flags, *wishes, "--temperature", 0, "-g", 0, "-o", tmp_path / mode) == 0
        known = arrays(tmp_path / mode / f"{stems[mode]}.npz")
        x = small.decode(torch.from_numpy(known["z"]), PHRASE, ids.expand(3, -1))
        np.testing.assert_array_equal(known["phrases"], x)
        assert not (known["phrases"] == small.decode(torch.from_numpy(known["z"]), PHRASE).numpy()).all()


@pytest.mark.parametrize("mode", ["sample", "walk", "sweep", "blend"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["joy=much"], "--wish joy=much: this run knows hit_density=little|middle|much kick_share=little|much"),
        (["hit_density=huge"], "--wish hit_density=huge: this run knows hit_density=little|"),
        (["hit_density"], "--wish hit_density: this run knows"),
        (["=much"], "--wish =much: this run knows"),
        (["kick_share=much", "kick_share=little"], "--wish kick_share=little: kick_share is to be much already"),
    ],
)
def test_wishes_that_cannot_be(small, run, tmp_path, capsys, mode, words, message):
    assert message in refused(capsys, tmp_path / "out", mode, run, "--wish", *words)


def test_wishes_are_for_what_is_new(run):
    for mode in ("reconstruct", "attribute", "decode", "extract"):
        with pytest.raises(InputError, match=f"{mode}: takes no --wish"):
            play(mode, run, "-i", song(run), "--wish", "a=b")


# -- command lines of other programs ----------------------------------------------------------------------------------


def test_the_published_command_lines(run, tmp_path, monkeypatch):
    asked, model = [], load_run(run)
    monkeypatch.setattr("models.runs.load_run", lambda *args: asked.append(args) or model)
    line = "--mode=sample --config={} --vae_config={} --checkpoint_file={} --vae_checkpoint_file={} --num_outputs=5 "
    line += "--temperature=0.5 --output_dir={}"
    assert lt_play.main(line.format("tiny", "tiny", run, run, tmp_path / "a").split()) == 0
    assert lt_play.main(line.format("tiny", "tiny", run, "checkpoint", tmp_path / "a").split()) == 0
    line = "--run_dir {} --mode interpolate --input_midi_1 {} --input_midi_2 {} --num_outputs=2 --output_dir={}"
    assert lt_play.main(line.format(run, song(run), song(run, 1), tmp_path / "b").split()) == 0
    assert (tmp_path / "a" / "sample_4.mid").exists() and (tmp_path / "b" / "beat_0_beat_1_1.mid").exists()
    told = [(path, preset, base and str(base), base_preset) for path, _, _, preset, base, base_preset in asked]
    assert told == [(run, "", str(run), ""), (run, "", "checkpoint", "tiny"), (run, "", None, "")]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: mode; --help tells more"),
        (["-g", "0"], "the following arguments are required: mode"),
        (["--mode", "dance"], "argument --mode: invalid choice: 'dance'"),
        (["sample", "--mode", "walk"], "walk: takes no sample; lt_play.py walk --info says"),
        (["--mode=walk", "sample"], "walk: takes no sample"),
        (["--mode=walk", "--max_batch_size", "8"], "walk: takes no --max_batch_size; lt_play.py walk --info says"),
        (["--mode=walk", "--axis", "8"], "walk: takes no --axis"),
        (["--mode=walk"], "walk: give the folders of trained runs with -m"),
    ],
)
def test_modes_by_their_flag(argv, message):
    with pytest.raises(InputError, match=message):
        lt_play.main(argv)


def test_a_mode_may_be_told_twice(run, tmp_path):
    assert lt_play.main(["--mode=sample", "-m", str(run), "-n", "1", "-g", "0", "-o", str(tmp_path)]) == 0
    assert lt_play.main(["sample", "--mode", "sample", "-m", str(run), "-n", "1", "-g", "0", "-o", str(tmp_path)]) == 0


def test_presets_that_a_run_is_of(run, tmp_path):
    assert is_of(run, "tiny", "") and not any(is_of(run, preset, "") for preset in ("", "joy"))
    assert not is_of(None, "tiny", "") and not is_of(tmp_path, "tiny", "")
    for flag in ("--config", "--base_preset"):
        with pytest.raises(InputError, match=rf"{flag} groove_2bar: has --encoder_size 256, and .*run has 32; leave it out"):
            is_of(run, "groove_2bar", flag)
    assert not is_of(make_run(tmp_path / "sound"), "quick", "")  # which tells nothing of the form


def test_what_stands_on_nothing_has_no_base(run, tmp_path, capsys):
    for flag in ("--base", "--vae_checkpoint_file"):
        assert "stands on no other" in refused(capsys, tmp_path / "out", "sample", run, flag, tmp_path)
    out = ("--output", str(tmp_path / "out"))
    assert lt_analyze.main(["-m", str(run), "--base", str(tmp_path), *out]) == 2
    assert "stands on no other" in capsys.readouterr().err
    data = ("--dataroot", str(run.parent / "songs"))
    assert lt_midi.main(["--models", str(run), "--vae_config", "tiny", *data, *out]) == 2
    assert "stands on no other" in capsys.readouterr().err


def test_the_base_is_told_to_all_scripts(run, tmp_path, monkeypatch):
    asked = []

    def load(*args):
        asked.append(args[3:])
        raise InputError("enough")

    monkeypatch.setattr("models.runs.load_run", load)
    monkeypatch.setattr("models.analysis.load_run", load)
    flags = ["--base", "there", "--base_preset", "tiny", "--output", str(tmp_path)]
    assert lt_analyze.main(["-m", str(run), *flags]) == 2
    assert lt_midi.main(["--models", str(run), "--dataroot", str(run.parent / "songs"), *flags]) == 2
    assert [(preset, str(base), what) for preset, base, what in asked] == [("", "there", "tiny")] * 2


def test_recordings_are_heard_without_a_base(tmp_path):
    sound = make_run(tmp_path / "sound")
    with pytest.raises(InputError, match="--base: only for runs that read phrases; leave out"):
        lt_midi.main(["--models", str(sound), "--dataroot", str(tmp_path), "--base", str(tmp_path)])
