"""The modes of lt_play.py for runs of phrases: from the prior, between two, along a walk, with attributes, and of files."""

import numpy as np
import pytest

import lt_play
from data import midi
from data.audio import Audio
from data.notes import Notes
from data.sequences import read_midi
from models.phrase import PHRASE
from models.runs import load_run
from tests import bundles
from tests.phrase_music import melody_files
from tests.phrase_runs import make_phrase_run, names, silent, table, trio_file, whole
from tests.test_musicvae_magenta import Sizes, made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("hits"))


@pytest.fixture(scope="module", params=["melody", "drums", "all_hits", "groove", "trio"])
def other(request, tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def melodies(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("melodies"), "melody")


@pytest.fixture(autouse=True)
def instruments(request, monkeypatch):
    """Play nothing, which takes long, unless a test is about sound."""
    if "sound" not in request.node.name:
        monkeypatch.setattr("models.phrase_files.save_notes", silent)


def play(mode, run, *argv):
    return lt_play.main([mode, "-m", str(run), *map(str, argv)])


def song(run, number=0):
    return sorted((run.parent / "songs").iterdir())[number]


def arrays(path):
    with np.load(path) as content:
        return dict(content)


def struck(path):
    """Return the notes of a file as (onset in steps, pitch)."""
    (stretch,) = read_midi(path)
    return sorted(zip(stretch.onset.tolist(), stretch.pitch.tolist(), strict=True))


def expected(run, phrases):
    """Return the notes of phrases (N, T, ...) one after another as (onset in steps, pitch)."""
    phrase, notes = load_run(run).representations[PHRASE], []
    for place, x in enumerate(phrases):
        part = phrase.notes(np.asarray(x))
        notes += zip((part.onset + place * phrase.steps).tolist(), part.pitch.tolist(), strict=True)
    return sorted(notes)


# -- sample -----------------------------------------------------------------------------------------------------------


def test_samples(run, tmp_path, capsys):
    assert play("sample", run, "-n", 2, "-o", tmp_path) == 0
    files = ["sample_0.mid", "sample_0.wav", "sample_1.mid", "sample_1.wav", "samples.csv", "samples.pdf", "samples.npz"]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in files] and names(tmp_path) == sorted(files)
    known = arrays(tmp_path / "samples.npz")
    assert known["z"].shape == (2, 8) and known["phrases"].shape == (2, 32, 9) and known["tempo"] == 120
    for place, (row, x) in enumerate(zip(table(tmp_path / "samples.csv"), known["phrases"], strict=True)):
        assert struck(tmp_path / f"sample_{place}.mid") == expected(run, [x])
        assert (row["phrase"], row["title"]) == (str(place), f"sample {place}")
        assert float(row["hit_density"]) == pytest.approx(x.sum() / 32, abs=1e-4)
        assert (tmp_path / f"sample_{place}.wav").read_text() == "4.000000"


def test_samples_of_every_kind(other, tmp_path):
    assert play("sample", other, "-n", 2, "-o", tmp_path, "--tempo", 60, "--temperature", 1, "-g", 0) == 0
    for place, x in enumerate(arrays(tmp_path / "samples.npz")["phrases"]):
        found, wanted = struck(tmp_path / f"sample_{place}.mid"), expected(other, [x])
        assert sorted(pitch for _, pitch in found) == sorted(pitch for _, pitch in wanted)
        np.testing.assert_allclose([time for time, _ in found], [time for time, _ in wanted], atol=0.005)  # ticks
        assert midi.parse(tmp_path / f"sample_{place}.mid").tempos[0].qpm == pytest.approx(60)
        assert (tmp_path / f"sample_{place}.wav").read_text() == "8.000000"


def test_equal_seeds_make_equal_music(run, tmp_path):
    for folder, flags in (("a", ()), ("b", ()), ("c", ("--seed", 1)), ("d", ("--temperature", 0)), ("e", ("--temperature", 0))):
        assert play("sample", run, "-g", 0, "-o", tmp_path / folder, *flags) == 0
    first, again, other, certain, sure = ((tmp_path / folder / "sample_0.mid").read_bytes() for folder in "abcde")
    assert first == again != other and certain == sure
    assert not (tmp_path / "a" / "samples.pdf").exists()


def test_results_lie_in_the_run_or_beside_the_checkpoint(run, tmp_path):
    assert play("sample", run, "-g", 0) == 0 and (run / "sample" / "sample_0.mid").exists()
    checkpoint = drum_checkpoint(tmp_path)
    assert play("sample", checkpoint, "-g", 0) == 0
    assert (tmp_path / f"{checkpoint.name}_results" / "sample" / "sample_0.mid").exists()


def test_the_sound_is_that_of_the_notes(melodies, tmp_path):
    from utils.pitch import fundamental

    assert play("sample", melodies, "-o", tmp_path, "-g", 0, "--tempo", 40, "--temperature", 1) == 0
    sound, notes = Audio.load(tmp_path / "sample_0.wav"), Notes.load(tmp_path / "sample_0.mid")
    assert sound.sample_rate == 44100 and 12 <= sound.duration <= 18 and 0.02 < np.abs(sound.samples).max() < 1
    longest = (notes.offset - notes.onset).argmax()
    first, last = (round(sound.sample_rate * time) for time in (notes.onset[longest] + 0.05, notes.offset[longest]))
    frequency = 440 * 2 ** ((notes.pitch[longest] - 69) / 12)
    assert fundamental(sound.samples[first:last], sound.sample_rate) == pytest.approx(frequency, rel=0.02)


# -- interpolate ------------------------------------------------------------------------------------------------------


def drum_checkpoint(folder):
    """Write a checkpoint of small drums as TensorFlow does."""
    sizes = Sizes(10, 512, (512,), ((4,),), (5,), (), 3, False, 0)
    return bundles.write(folder, made(sizes), "cat-drums_2bar_small.ckpt")


def test_the_published_command_line(run, tmp_path, capsys):
    checkpoint, out = drum_checkpoint(tmp_path), tmp_path / "out"
    line = (
        f"interpolate --pretrained {checkpoint} --config cat-drums_2bar_small --input_midi_1 {song(run)} "
        f"--input_midi_2 {song(run, 1)} --num_outputs 5 --temperature 0.5 --output_dir {out}"
    )
    assert lt_play.main(line.split()) == 0
    stem = "beat_0_beat_1"
    each = [f"{stem}_{place}{end}" for place in range(5) for end in (".mid", ".wav")]
    assert names(out) == sorted([*each, *(stem + end for end in (".mid", ".wav", ".csv", ".pdf", ".npz"))])


@pytest.mark.parametrize(
    "flags",
    [
        ("--input_midi_1", 0, "--input_midi_2", 1),
        ("--input_midi_2", 1, "--input_midi_1", 0),
        ("-i", 0, "--input_midi_2", 1),
        ("--input_midi_1", 0, "-i", 1),
        ("-i", 0, 1),
        ("-i", 0, "-i", 1),
    ],
)
def test_the_first_file_comes_first(run, tmp_path, flags):
    files = [song(run, flag) if isinstance(flag, int) else flag for flag in flags]
    assert play("interpolate", run, *files, "-n", 2, "-g", 0, "-o", tmp_path) == 0
    assert (tmp_path / "beat_0_beat_1.mid").exists()


def test_ends_are_what_files_become_and_all_follow_each_other(run, tmp_path):
    assert play("interpolate", run, "-i", song(run, 2), song(run, 1), "--temperature", 0, "-n", 3, "-o", tmp_path, "-g", 0) == 0
    known, stem = arrays(tmp_path / "beat_2_beat_1.npz"), "beat_2_beat_1"
    model = load_run(run)
    for place, path in ((0, song(run, 2)), (2, song(run, 1))):
        mean = model.encode(whole(path, run)[:1], PHRASE).mean.detach()
        np.testing.assert_allclose(known["z"][place], mean[0], atol=1e-6)
        np.testing.assert_array_equal(known["phrases"][place], model.decode(mean, PHRASE)[0])
        assert struck(tmp_path / f"{stem}_{place}.mid") == expected(run, known["phrases"][place : place + 1])
    assert struck(tmp_path / f"{stem}.mid") == expected(run, known["phrases"])
    assert midi.parse(tmp_path / f"{stem}_1.mid").tempos[0].qpm == pytest.approx(92)  # of the first file
    assert [row["title"] for row in table(tmp_path / f"{stem}.csv")] == ["0% of the way", "50% of the way", "100% of the way"]


def test_bars_and_lines_are_chosen(melodies, tmp_path):
    path = trio_file(tmp_path / "trio.mid")  # its bass is another melody
    for name, flags in (("a", ()), ("b", ("--bar", 2)), ("c", ("--line", 2))):
        assert play("interpolate", melodies, "-i", path, path, "-n", 2, "-g", 0, "-o", tmp_path / name, *flags) == 0
    z = {name: arrays(tmp_path / name / "trio_trio.npz")["z"][0] for name in "abc"}
    assert not np.allclose(z["a"], z["b"]) and not np.allclose(z["a"], z["c"])


def test_tokens_last_no_time(tmp_path):
    pytest.importorskip("miditok")
    songs = melody_files(tmp_path / "tunes", 3)
    run, files = make_phrase_run(tmp_path, "remi", dbroot=str(songs)), sorted(songs.iterdir())[:2]
    assert play("interpolate", run, "-i", *files, "-n", 8, "--tempo", 4, "-g", 0, "-o", tmp_path / "out") == 0
    stem = "_".join(path.stem for path in files)  # 8 phrases of 32 sixteenths last 960 s, of 128 tokens more than can be played
    assert (tmp_path / "out" / f"{stem}.wav").read_text() == f"{8 * 32 / 4 * 15:.6f}"


# -- walk -------------------------------------------------------------------------------------------------------------


def test_a_walk(run, tmp_path, capsys):
    assert play("walk", run, "-n", 14, "-o", tmp_path, "--stride", 0.1) == 0
    files = [f"walk{end}" for end in (".mid", ".wav", ".csv", ".pdf", ".npz")]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in files] and names(tmp_path) == sorted(files)
    known = arrays(tmp_path / "walk.npz")
    assert len(known["z"]) == len(table(tmp_path / "walk.csv")) == 14
    assert struck(tmp_path / "walk.mid") == expected(run, known["phrases"])
    steps = np.linalg.norm(np.diff(known["z"], axis=0), axis=1)
    assert 0.05 < steps.mean() < 0.6 < np.linalg.norm(known["z"], axis=1).mean()


def test_a_walk_from_a_file(run, tmp_path):
    assert play("walk", run, "-i", song(run, 3), "--bar", 2, "-n", 2, "-o", tmp_path, "-g", 0) == 0
    model, line = load_run(run), whole(song(run, 3), run).flatten(0, 1)
    mean = model.encode(line[None, 16:48], PHRASE).mean.detach()
    np.testing.assert_allclose(arrays(tmp_path / "walk.npz")["z"][0], mean[0], atol=1e-6)
    assert midi.parse(tmp_path / "walk.mid").tempos[0].qpm == pytest.approx(93)


# -- reconstruct ------------------------------------------------------------------------------------------------------


def test_files_are_made_anew(run, tmp_path, capsys):
    assert play("reconstruct", run, "-i", song(run), "-o", tmp_path) == 0
    files = ["beat_0_reconstruction.mid", "beat_0_reconstruction.wav", "beat_0.csv", "beat_0.pdf"]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in files] and names(tmp_path) == sorted(files)
    model, x = load_run(run), whole(song(run), run)
    anew = model.transfer(x, PHRASE, PHRASE)
    assert struck(tmp_path / files[0]) == expected(run, anew)
    rows = table(tmp_path / "beat_0.csv")
    assert [row["bar"] for row in rows] == ["1", "3"]
    scores = model.representations[PHRASE].compare(x, anew) | {"nll": model.nll(x, PHRASE, x, PHRASE)}
    for name in ("accuracy", "hit_f1", "nll"):
        assert [float(row[name]) for row in rows] == pytest.approx(scores[name].tolist(), abs=1e-4)
    assert midi.parse(tmp_path / files[0]).tempos[0].qpm == pytest.approx(90)


def test_every_kind_is_made_anew(other, tmp_path):
    assert play("reconstruct", other, "-i", song(other), "-o", tmp_path, "--temperature", 1) == 0
    assert len(list(tmp_path.glob("*_reconstruction.mid"))) == 1 == len(list(tmp_path.glob("*.pdf")))


def test_each_line_of_a_file(melodies, tmp_path):
    assert play("reconstruct", melodies, "-i", trio_file(tmp_path / "trio.mid", 5), "-o", tmp_path / "out", "-g", 0) == 0
    lines = [f"trio_line{line}{end}" for line in (1, 2) for end in (".csv", "_reconstruction.mid", "_reconstruction.wav")]
    assert names(tmp_path / "out") == lines
    for path in (tmp_path / "out").glob("*.csv"):
        assert [row["bar"] for row in table(path)] == ["1", "3", "5"]
    assert (tmp_path / "out" / "trio_line1_reconstruction.wav").read_text() == f"{6 * 16 / 4 * 0.6:.6f}"


def test_latents_may_be_drawn(run, tmp_path):
    for folder, flags in (("a", ()), ("b", ("-s", 1)), ("c", ("-s", 1)), ("d", ("-s", 1, "--seed", 1))):
        assert play("reconstruct", run, "-i", song(run), "-o", tmp_path / folder, "-g", 0, "--temperature", 1, *flags) == 0
    mean, drawn, again, other = ((tmp_path / f / "beat_0_reconstruction.mid").read_bytes() for f in "abcd")
    assert mean != drawn == again != other


@pytest.mark.parametrize(
    ("transform", "mode", "able"),
    [("humanize", "humanize", True), ("tap", "tap", True), ("tap_fixed_velocity", "tap", True), ("tap", "humanize", False)],
)
def test_drums_are_made_up(tmp_path, capsys, transform, mode, able):
    run = make_phrase_run(tmp_path, "groove", transform=transform)
    code = play(mode, run, "-i", song(run), "-o", tmp_path / "out", "-g", 0, "--temperature", 1)
    assert code == (0 if able else 2)
    if not able:
        assert "takes a run that was trained with --transform humanize; this one has tap" in capsys.readouterr().err
        return
    (notes,) = read_midi(tmp_path / "out" / "beat_0_reconstruction.mid")
    assert len(set(notes.velocity.tolist())) > 1 and len(notes)


# -- attribute --------------------------------------------------------------------------------------------------------


def test_attributes(run, tmp_path, capsys):
    flags = ("--attribute", "hit_density", "--strength", "-3", 0, 3, "-n", 2)
    assert play("attribute", run, *flags, "-o", tmp_path / "a") == 0
    each = [f"sample_{place}_hit_density{end}" for place in range(2) for end in (".mid", ".wav", ".pdf")]
    files = ["vectors.npz", *each, "attributes.csv"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "a" / name) for name in files]
    assert names(tmp_path / "a") == sorted(files)
    rows = table(tmp_path / "a" / "attributes.csv")
    assert [(row["phrase"], row["added"], row["strength"]) for row in rows[:3]] == [
        ("sample_0", "hit_density", strength) for strength in ("-3.0", "0.0", "3.0")
    ]
    density = [float(row["hit_density"]) for row in rows]
    assert density[0] < density[2] and density[3] < density[5]
    vectors = tmp_path / "a" / "vectors.npz"
    assert arrays(vectors)["hit_density"].shape == (8,)
    before = vectors.read_bytes()
    assert play("attribute", run, *flags, "-o", tmp_path / "a", "--vectors", vectors) == 0 and vectors.read_bytes() == before
    assert table(tmp_path / "a" / "attributes.csv") == rows


def test_attributes_of_files(other, tmp_path):
    (tmp_path / "again").mkdir()
    twin = tmp_path / "again" / song(other).name
    twin.write_bytes(song(other, 1).read_bytes())
    assert (
        play("attribute", other, "-i", song(other), twin, "-o", tmp_path / "out", "-g", 0, "--split", "all", "--strength", 0) == 0
    )
    rows, stem = table(tmp_path / "out" / "attributes.csv"), song(other).stem
    assert {row["phrase"] for row in rows} == {stem, f"{stem}_2"}
    added = {row["added"] for row in rows}
    assert added and {f"{stem}_{name}.mid" for name in added} <= set(names(tmp_path / "out"))


def test_attributes_of_another_corpus(run, tmp_path):
    out, folder = tmp_path / "out", run.parent / "songs"
    assert play("attribute", run, "--corpus", folder, "-o", out, "-g", 0, "--attribute", "kick_share") == 0
    own = tmp_path / "own"
    assert play("attribute", run, "-o", own, "-g", 0, "--attribute", "kick_share") == 0
    np.testing.assert_array_equal(arrays(out / "vectors.npz")["kick_share"], arrays(own / "vectors.npz")["kick_share"])


# -- encode, decode, extract ------------------------------------------------------------------------------------------


def test_there_and_back(other, tmp_path):
    assert play("encode", other, "-i", song(other), "-o", tmp_path) == 0
    stem, model, x = song(other).stem, load_run(other), whole(song(other), other)
    known, q = arrays(tmp_path / f"{stem}.npz"), model.encode(x, PHRASE)
    np.testing.assert_allclose(known["mean"], q.mean.detach(), atol=1e-6)
    np.testing.assert_allclose(known["deviation"], q.variance.sqrt().detach(), atol=1e-6)
    np.testing.assert_array_equal(known["phrases"], x)
    assert known["line"].tolist() == [1] * len(x) and known["first_step"].tolist() == [0, 32]
    assert play("decode", other, "-i", tmp_path / f"{stem}.npz", "-o", tmp_path / "out", "--temperature", 0, "-g", 0) == 0
    anew = model.decode(q.mean, PHRASE).detach()
    for place in range(2):
        found = [pitch for _, pitch in struck(tmp_path / "out" / f"{stem}_{place}.mid")]
        assert sorted(found) == sorted(pitch for _, pitch in expected(other, anew[place : place + 1]))
    tempo = read_midi(song(other))[0].tempo
    assert midi.parse(tmp_path / "out" / f"{stem}_0.mid").tempos[0].qpm == pytest.approx(tempo)
    assert len(table(tmp_path / "out" / f"{stem}.csv")) == 2


def test_plain_arrays_are_decoded(run, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 8)))
    np.savez(tmp_path / "b.npz", z=np.zeros((1, 8), np.float32), tempo=np.float64(np.nan))
    assert play("decode", run, "-i", tmp_path, "-o", tmp_path / "out", "-g", 0, "--tempo", 80) == 0
    assert (tmp_path / "out" / "a_0.mid").read_bytes() == (tmp_path / "out" / "b_0.mid").read_bytes()


def test_samples_are_decoded_as_they_were(run, tmp_path):
    assert play("sample", run, "-n", 3, "--temperature", 0, "-o", tmp_path, "-g", 0) == 0
    assert play("decode", run, "-i", tmp_path / "samples.npz", "--temperature", 0, "-o", tmp_path / "out", "-g", 0) == 0
    for place in range(3):
        assert (tmp_path / "out" / f"samples_{place}.mid").read_bytes() == (tmp_path / f"sample_{place}.mid").read_bytes()


def test_phrases_are_cut_out(run, tmp_path, capsys):
    assert play("extract", run, "-i", song(run), "-o", tmp_path) == 0
    stems = [f"beat_0_bar{bar}" for bar in (1, 2, 3)]
    files = [stem + end for stem in stems for end in (".mid", ".wav")] + ["beat_0.csv", "beat_0.pdf"]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in files]
    line = whole(song(run), run).flatten(0, 1)
    for place, stem in enumerate(stems):
        assert struck(tmp_path / f"{stem}.mid") == expected(run, [line[16 * place : 16 * place + 32]])
    assert [row["title"] for row in table(tmp_path / "beat_0.csv")] == ["bar 1", "bar 2", "bar 3"]
    assert midi.parse(tmp_path / "beat_0_bar1.mid").tempos[0].qpm == pytest.approx(90)


def test_each_line_is_cut(melodies, tmp_path):
    assert play("extract", melodies, "-i", trio_file(tmp_path / "trio.mid", 3), "-o", tmp_path / "out", "-g", 0) == 0
    found = {path.name for path in (tmp_path / "out").glob("*.mid")}
    assert found == {f"trio_line{line}_bar{bar}.mid" for line in (1, 2) for bar in (1, 2)}
    titles = [row["title"] for row in table(tmp_path / "out" / "trio.csv")]
    assert titles == [f"line {line}, bar {bar}" for line in (1, 2) for bar in (1, 2)]


def test_many_files_and_runs(run, tmp_path):
    twin = tmp_path / "twin"
    twin.symlink_to(run)
    assert play("encode", run, twin, "-i", run.parent / "songs", "-o", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["run", "run_2"]
    assert names(tmp_path / "out" / "run") == names(tmp_path / "out" / "run_2") == [f"beat_{number}.npz" for number in range(6)]


def test_nothing_depends_on_what_else_is_played(run, tmp_path):
    for folder, files in (("a", (song(run),)), ("b", (song(run, 1), song(run)))):
        assert play("reconstruct", run, "-i", *files, "-o", tmp_path / folder, "-g", 0, "-s", 1, "--temperature", 1) == 0
    alone, among = ((tmp_path / folder / "beat_0_reconstruction.mid").read_bytes() for folder in "ab")
    assert alone == among
