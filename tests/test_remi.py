"""Phrases of notes as REMI tokens: what miditok writes and reads, and what a model of them does."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data import attributes, phrase_baselines, phrase_statistics
from data.phrase_corpora import read
from data.phrase_windows import PhraseWindows
from data.phrases import BAR
from data.remi import Remi
from data.remi_tokens import vocabulary
from models import musicvae
from models.musicvae_config import Config
from models.phrase import PHRASE
from models.phrase_files import chained, every_phrase, piece_in, whole_lines
from tests.phrase_music import SIXTEENTH
from tests.sequences import heard, hits, midi_file, sequence, together
from utils.config import InputError

NOTES = [(0, 4, 60, 95), (0, 2, 64, 63), (2, 6, 67, 95), (20, 32, 60, 127)]
SMALL = {"kind": "remi", "encoder_size": (8,), "decoder_size": (8,), "latent_dim": 4, "tokens": 24}


@pytest.fixture(autouse=True)
def packaged(request):
    """Skip what needs the package where it is absent."""
    if "absent" not in request.node.name:
        pytest.importorskip("miditok")


def ids(*names):
    """Return tokens by their names."""
    return [vocabulary().tokenizer.vocab[name] for name in names]


def phrase_of(notes, phrase):
    (line,), _ = phrase.lines(sequence(notes))
    return phrase.window(line, 0)


def rows(notes):
    columns = (notes.onset, notes.offset, notes.pitch, notes.velocity)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_absent_package_is_named_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "miditok", None)
    vocabulary.cache_clear()
    with pytest.raises(InputError, match="--kind remi: the package miditok is not installed; pip install miditok") as caught:
        replace(Config(), **SMALL).phrase()
    assert "\n" not in str(caught.value)
    vocabulary.cache_clear()


def test_what_tokens_say_is_known_where_models_have_no_weights_yet():
    vocabulary.cache_clear()
    with torch.device("meta"):
        assert replace(Config(), **SMALL).phrase().width == len(vocabulary().types)
    assert vocabulary().types.device.type == "cpu" and vocabulary().values[ids("Position_7")].tolist() == [7]
    assert vocabulary().values[ids("Duration_2.3.4", "Velocity_95", "Pitch_21", "PAD_None")].tolist() == [11, 95, 21, 0]


def test_a_phrase_is_what_miditok_writes():
    phrase = Remi(32, tokens=16)
    first = ("Bar_None", "Position_0", "Pitch_60", "Velocity_95", "Duration_1.0.4", "Pitch_64", "Velocity_63", "Duration_0.2.4")
    second = ("Position_2", "Pitch_67", "Velocity_95", "Duration_1.0.4")
    last = ("Bar_None", "Position_4", "Pitch_60", "Velocity_127", "Duration_3.0.4")
    expected = ids(*first, *second, *last)
    x = phrase_of(NOTES, phrase)
    assert x.tolist() == expected + [0] * (32 - len(expected))
    assert rows(phrase.notes(x)) == sorted(NOTES)
    assert (phrase.span, phrase.shape, phrase.frame_rate, phrase.width) == (32, (32,), 0.25, len(vocabulary().types))


def test_cuts_end_what_lasts_beyond_them_and_begin_nothing():
    phrase = Remi(16, tokens=16)
    (line,), _ = phrase.lines(sequence([(0, 2, 60, 95), (14, 40, 62, 95), (20, 24, 64, 95)]))
    assert line.shape == (48, 1, 3)
    assert rows(phrase.notes(phrase.window(line, 0))) == [(0, 2, 60, 95), (14, 16, 62, 95)]
    assert rows(phrase.notes(phrase.window(line, 16))) == [(4, 8, 64, 95)]
    assert rows(phrase.of_line(line)) == [(0, 2, 60, 95), (14, 40, 62, 95), (20, 24, 64, 95)]


def test_lines_are_of_all_instruments_but_drums():
    phrase = Remi(32, tokens=16)
    music = together(sequence([(17, 20, 60)], program=5), sequence([(18, 22, 40), (18, 20, 40)], program=33), hits([(0, 36)]))
    (line,), reasons = phrase.lines(music)
    assert reasons == ["music of 1 bar is shorter than a phrase of 2 bars"]  # the bar of the first note and of the last
    assert rows(phrase.of_line(line)) == [(1, 4, 60, 80), (2, 6, 40, 80)]  # of equal notes the longest
    (line,), _ = replace(phrase, programs=(0, 31)).lines(music)
    assert rows(phrase.of_line(line)) == [(1, 4, 60, 80)]
    found, _ = phrase.lines(sequence([(0, 40, 60), (2, 3, 62), (50, 60, 60), (80, 81, 60)]))
    assert [len(line) for line in found] == [64, 16]  # a bar of silence, after what sounds longest, parts them


def test_only_the_first_bars_of_what_never_ends_are_read():
    phrase = Remi(32, tokens=16)
    (line,), reasons = phrase.lines(sequence([(0, 100_000, 60), (3, 40_000, 64)]))
    assert len(line) == 1600 and rows(phrase.of_line(line)) == [(0, 1600, 60, 80), (3, 1600, 64, 80)]
    assert reasons == ["music is 6250 bars long: only the first 100 bars are read"]
    assert rows(phrase.notes(phrase.window(line, 0))) == [(0, 32, 60, 79), (3, 32, 64, 79)]


@pytest.mark.parametrize(
    ("music", "reason"),
    [
        (sequence([]), "no notes"),
        (sequence([(0, 1, 60)], bar=12.0), "bars of 3 quarters: only 4/4 is read"),
        (hits([(0, 36)]), "no notes but drums of programs 0-127 with pitches 21-108"),
        (sequence([(0, 1, 20)]), "no notes but drums of programs 0-127 with pitches 21-108"),
    ],
)
def test_what_cannot_be_read(music, reason):
    assert Remi(32, tokens=16).lines(music) == ([], [reason])


def test_phrases_that_take_too_many_tokens_are_left_out():
    phrase = Remi(16, tokens=8)
    crowded = [(48 + step, 49 + step, 60, 95) for step in range(0, 16, 4)]  # 17 tokens with its bar
    (line,), reasons = phrase.lines(sequence([(bar * BAR, bar * BAR + 4, 60, 95) for bar in range(7)] + crowded[1:]))
    assert reasons == ["2 of 6 phrases take more than 16 tokens"]
    first, last = phrase.parts(line)
    assert np.array_equal(first, line[:48]) and np.array_equal(last, line[64:])


NOTE = st.tuples(st.integers(0, 47), st.integers(1, 80), st.integers(21, 108), st.integers(1, 127))


@given(st.lists(NOTE, min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_notes_are_counted_and_heard_again(drawn):
    """On the grid all comes back but for velocities, of which there are eight, and what lasts longer than 16 quarters."""
    phrase = Remi(48 * 10, tokens=160)
    (line, *_), _ = phrase.lines(sequence([(on, on + length, pitch, velocity) for on, length, pitch, velocity in drawn]))
    line = np.concatenate([line, np.zeros((-len(line) % phrase.span, *line.shape[1:]), line.dtype)])[: phrase.span]
    x, expected = phrase.window(line, 0), phrase.of_line(line)
    found = phrase.notes(x)
    assert [row[:3] for row in rows(found)] == [row[:3] for row in rows(expected)]
    assert np.abs(np.sort(found.velocity) - np.sort(expected.velocity)).max() <= 14
    assert phrase.needed(line).tolist() == [np.count_nonzero(x)]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_tokens_are_heard_as_miditok_hears_them(data):
    """Whatever a model draws; only what begins beyond the end is not played."""
    phrase, words = Remi(24, tokens=12), len(vocabulary().types)
    kinds = [(vocabulary().types == kind).nonzero()[:, 0].tolist() for kind in range(6)]
    some = st.sampled_from(kinds).flatmap(st.sampled_from) | st.integers(0, words - 1)
    note = st.tuples(*(st.sampled_from(kinds[kind]) for kind in (3, 4, 5))).map(list)
    drawn = data.draw(st.lists(some.map(lambda token: [token]) | note, min_size=24, max_size=24))
    x = np.array([token for tokens in drawn for token in tokens])[:24]
    score = vocabulary().tokenizer.decode([x.tolist()])
    expected = [(n.start, min(n.end, 32), n.pitch, n.velocity) for track in score.tracks for n in track.notes if n.start < 32]
    step = score.ticks_per_quarter // 4
    assert step == 1
    assert rows(phrase.notes(x)) == sorted(expected)
    assert all(0 <= row < 88 and 0 <= start < end <= 32 and 0 < loud <= 1 for row, start, end, loud in phrase.cells(x))


def test_transposed_within_the_range():
    phrase = Remi(32, tokens=16)
    x = torch.from_numpy(np.stack([phrase_of(NOTES, phrase)] * 3))
    moved = phrase.transposed(x, torch.tensor([5, -40, 0]))
    assert rows(phrase.notes(moved[0].numpy())) == sorted((on, off, pitch + 5, velocity) for on, off, pitch, velocity in NOTES)
    assert moved[1:].equal(x[1:])
    assert phrase.transposed(x, torch.tensor([41, 42, -39])).ne(x).any(1).tolist() == [True, False, True]


def test_scores():
    phrase = Remi(32, tokens=16)
    x = torch.from_numpy(phrase_of(NOTES, phrase))[None]
    assert {value.item() for value in phrase.compare(x, x).values()} == {1}
    y = torch.from_numpy(phrase_of([*NOTES[:3], (20, 32, 61, 127)], phrase))[None]
    found = {name: value.item() for name, value in phrase.compare(x, y).items()}
    told = int((x > 0).sum())
    assert found["accuracy"] == pytest.approx(1 - 1 / told) and found["exact"] == 0  # PAD does not count
    assert found["onset_f1"] == 1 and found["note_f1"] == 0.75
    empty = phrase.compare(0 * x, 0 * x)
    assert {value.item() for value in empty.values()} == {1} and phrase.compare(0 * x, x)["accuracy"] == 0


def test_attributes_statistics_and_baselines_by_hand():
    phrase = Remi(32, tokens=16)
    x = torch.from_numpy(np.stack([phrase_of(NOTES, phrase), np.zeros(32, np.int64)]))
    found = {name: values.tolist() for name, values in attributes.measure("remi", x).items()}
    assert found == {
        "c_diatonic": [1, 0],
        "note_density": [4 / 32, 0],
        "notes_at_once": [4 / 3, 0],
        "mean_velocity": [95, 0],
        "mean_duration": [22 / 4, 0],
    }
    assert attributes.density("remi", x).ids.tolist() == [1, 0]
    histograms = phrase_statistics.histograms("remi", x)
    named = {what: dict(zip(h.names, h.counts.tolist(), strict=True)) for what, h in histograms.items()}
    assert named["pitch class"]["C"] == 2 and named["onset position"]["1"] == 2 and named["notes a bar"]["2"] == 1
    assert named["duration"]["12"] == 1 and sum(named["velocity"].values()) == 4
    assert phrase_statistics.tokens("remi", x)["remi"][1] == phrase.width
    for name in phrase_baselines.names("remi"):
        assert phrase_baselines.fit(name, "remi", x)(x).shape == x.shape
    assert phrase_baselines.fit("previous", "remi", x[:1])(x[:1])[0, 0] == x[0, 0]


def corpus(folder, number=6):
    """Write files of chords of four notes, a quarter each; in the last bar there are sixteenths, too many for 24 tokens."""
    folder.mkdir()
    for count in range(number):
        chords = [(4 * beat, 4, pitch + beat % 9 + count) for beat in range(0, 28, 2) for pitch in (48, 60, 64)]
        quick = [(112 + step, 1, 72) for step in range(16)]
        notes = [(SIXTEENTH * on, SIXTEENTH * length, pitch) for on, length, pitch in chords + quick]
        midi_file(folder / f"{count}.mid", notes)
    return folder


def test_windows_and_files_of_a_corpus(tmp_path):
    root, phrase = corpus(tmp_path / "songs"), Remi(48, tokens=24)
    found = read(root, phrase)
    assert {len(line) for piece in found for line in piece.lines} == {7 * BAR}  # without the last bar
    assert [piece.identity for piece in found] == [piece.identity for piece in read(root, Remi(64, tokens=64))]
    windows = PhraseWindows(found.pieces[:1], phrase)
    assert windows.rows[:, 2].tolist() == [0, 16, 32, 48, 64, 80]
    batch = windows.batch(torch.arange(2), torch.Generator())
    assert batch["phrase"].shape == (2, 48) and batch["phrase"].dtype == torch.int64 and batch["weight"].tolist() == [48, 48]
    (passage,) = windows.passages(1, torch.Generator())
    assert len(passage["phrase"]) == 3
    with pytest.raises(InputError, match=r"no remi of 2 bars: 7 of 7 phrases take more than 16 tokens"):
        read(root / "0.mid", Remi(16, tokens=8))


def test_hops_off_the_bar_are_refused():
    with pytest.raises(InputError, match="--hop 8: phrases of remi begin at bars: give 16, or a multiple of it"):
        replace(Config(), **SMALL, hop=8).validate()
    with pytest.raises(InputError, match="--tokens: means nothing for --kind melody"):
        replace(Config(), tokens=24).validate()
    replace(Config(), **SMALL, hop=32, levels=(2, 24)).validate()


@pytest.mark.parametrize("levels", [(), (2, 24)])
def test_a_model_is_trained_written_and_read(tmp_path, levels):
    root = corpus(tmp_path / "songs")
    config = replace(Config(), **SMALL, levels=levels, dbroot=str(root))
    config.validate()
    torch.manual_seed(0)
    made = musicvae.Model(config)
    phrase, piece = made.representations[PHRASE], piece_in(made, root / "0.mid")
    (whole,), (every,) = whole_lines(made, piece), every_phrase(made, piece)
    assert whole.x.shape == (4, 48) and every.x.shape == (6, 48)
    made({PHRASE: every.x}, step=1).total.backward()
    made.eval()
    with torch.no_grad():
        drawn = made.decode(made.sample(3), PHRASE, temperature=1.0, random=torch.Generator().manual_seed(0))
        assert made.told(drawn).shape == drawn.shape == (3, 48)
        assert made.bound({PHRASE: drawn}, torch.Generator())["nll"].shape == (3,)
    notes = chained(phrase, [*whole.x.numpy(), *drawn.numpy()])
    assert heard(notes).offset.max(initial=0) <= 7 * phrase.span
    again = chained(phrase, list(whole.x.numpy()))
    assert len(again.onset) == 42 and again.onset.max() == 104 and again.offset.max() <= 112
