"""What all kinds of phrases share: cutting into lines, scores of counts, files and sound."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.notes import Notes, Track
from data.phrase_kinds import GRID
from data.phrases import Phrase, StepNotes, agreement, at_gaps, bar_after, bar_before, bars, share, step_scores, to_notes, write
from data.sequences import read_midi
from tests.sequences import sequence
from utils.config import InputError

TRACKS = (Track("Melody", 5), Track("Drums", 0, True))
HEARD = StepNotes(
    np.array([0, 4, 6.25]), np.array([4, 8, 7.25]), np.array([60, 62, 38]), np.array([80, 80, 1]), np.array([0, 0, 1]), TRACKS
)


def test_bars():
    assert (bars(16), bars(32), bars(8)) == ("1 bar", "2 bars", "0.5 bars")
    assert [bar_before(step) for step in (0, 15, 16, 33)] == [0, 0, 16, 32]
    assert [bar_after(step) for step in (0, 1, 16, 17)] == [0, 16, 16, 32]


def test_gaps_cut_where_the_silence_is_as_long():
    start, end = np.array([0, 4, 24, 39]), np.array([4, 8, 25, 40])
    assert at_gaps(start, end, 16) == [slice(0, 2), slice(2, 4)]
    assert at_gaps(start, end, 14) == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert at_gaps(start[:1], end[:1], 1) == [slice(0, 1)]


def test_shares_of_nothing_are_right_where_nothing_is_named():
    counts = torch.tensor([1, 0, 0]), torch.tensor([4, 0, 0])
    assert share(*counts, torch.tensor([False, True, False])).tolist() == [0.25, 1, 0]
    scores = agreement(torch.tensor([2, 0, 0, 0]), torch.tensor([4, 0, 3, 0]), torch.tensor([3, 0, 0, 3]), "hit")
    assert scores["hit_precision"].tolist() == pytest.approx([2 / 3, 1, 0, 0])
    assert scores["hit_recall"].tolist() == pytest.approx([1 / 2, 1, 0, 0])
    assert scores["hit_f1"].tolist() == pytest.approx([4 / 7, 1, 0, 0])


def test_scores_of_steps():
    right = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]]).bool()
    true = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]).bool()
    scores = step_scores(right, true, true ^ ~right)
    assert scores["accuracy"].tolist() == [0.75, 1, 0.75]
    assert scores["exact"].tolist() == [0, 1, 0]
    assert scores["event_accuracy"].tolist() == [0.5, 1, 0]


def test_notes_in_seconds():
    notes = to_notes(HEARD, 60.0)
    assert isinstance(notes, Notes)
    assert notes.onset.tolist() == [0, 1, 1.5625]
    assert notes.offset.tolist() == [1, 2, 1.8125]
    assert notes.tracks == TRACKS


def test_a_written_file_reads_back(tmp_path):
    path = tmp_path / "new" / "a.mid"
    write(path, HEARD, 90.0)
    (found,) = read_midi(path)
    assert found.onset.tolist() == HEARD.onset.tolist()
    assert found.offset.tolist() == HEARD.offset.tolist()
    assert found.pitch.tolist() == HEARD.pitch.tolist()
    assert found.velocity.tolist() == [80, 80, 1]
    assert found.drum.tolist() == [False, False, True]
    assert found.program.tolist() == [5, 5, 0]
    assert (found.bar, round(found.tempo, 3)) == (16, 90)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mid"]


@pytest.mark.parametrize("tempo", [0.0, -1.0, 3.9, 1001.0, float("nan")])
def test_a_tempo_that_is_none_is_refused(tmp_path, tempo):
    with pytest.raises(InputError, match="it must lie within 4-1000"):
        write(tmp_path / "a.mid", HEARD, tempo)
    with pytest.raises(InputError, match="it must lie within 4-1000"):
        to_notes(HEARD, tempo)
    assert not list(tmp_path.iterdir())


def test_what_is_not_written_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        write(tmp_path / "file" / "a.mid", HEARD)


@pytest.mark.parametrize("name", GRID)
def test_every_kind_keeps_to_its_sizes(name):
    phrase: Phrase = GRID[name](32)
    x = torch.zeros(3, *phrase.shape, dtype=torch.float32 if len(phrase.shape) > 1 and name != "trio" else torch.int64)
    assert phrase.shape[0] == 32
    assert phrase.frame_rate == 0.25
    for read, columns in ((phrase.inputs(x), phrase.depth), (phrase.feed(x), phrase.width)):
        assert (read.shape, read.dtype) == ((3, 32, columns), torch.float32)
    for score in phrase.compare(x, x).values():
        assert (score.shape, score.dtype) == ((3,), torch.float64)
        assert score.isfinite().all()
    assert phrase.compare(x[:0], x[:0])["accuracy"].shape == (0,)
    assert phrase.transposed(x, torch.tensor([1, 0, -1])).equal(x)
    assert phrase.transposed(x[:0], torch.tensor([], dtype=torch.int64)).shape == x[:0].shape
    assert phrase.cells(x[0].numpy()) == []
    silent = phrase.notes(x[0].numpy())
    assert len(silent.onset) == 0
    assert len(to_notes(silent)) == 0
    assert phrase.facets(x) == {}
    assert phrase.text(x) is None


@pytest.mark.parametrize("name", GRID)
def test_every_kind_says_what_it_cannot_read(name):
    phrase = GRID[name](32)
    assert phrase.lines(sequence([])) == ([], ["no notes"])
    assert phrase.lines(sequence([(0, 1, 60)], bar=12.0)) == ([], ["bars of 3 quarters: only 4/4 is read"])


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_heard_again(tmp_path_factory, data):
    """Any tokens, as a file and back: the same notes at the same steps."""
    phrase = GRID["trio"](16)
    tokens = [data.draw(st.lists(st.integers(0, most - 1) | st.just(0), min_size=16, max_size=16)) for most in phrase.widths]
    notes = phrase.notes(np.array(tokens).T)
    if not len(notes.onset):
        return
    path = tmp_path_factory.mktemp("phrase") / "a.mid"
    write(path, notes)
    (found,) = read_midi(path)

    def rows(columns, drum):
        return sorted(zip(*(column.tolist() for column in columns), drum.tolist(), strict=True))

    drum = np.array([track.drum for track in notes.tracks])[notes.track]
    assert rows((found.onset, found.offset, found.pitch), found.drum) == rows((notes.onset, notes.offset, notes.pitch), drum)


def test_drums_and_melodies_sound():
    sampler = pytest.importorskip("data.sampler")
    pytest.importorskip("pretty_midi")
    font = sampler.SoundFont.load()
    drums = GRID["drums"](16)
    for column in range(9):  # each of them
        x = np.zeros(16, np.int64)
        x[0] = 1 << column
        assert np.abs(font.render(to_notes(drums.notes(x)), 8000)).max() > 0.01
    melody = np.zeros(16, np.int64)
    melody[4] = 41
    sound = font.render(to_notes(GRID["melody"](16).notes(melody)), 8000)
    assert np.abs(sound[:3900]).max() == 0
    assert np.abs(sound[4000:]).max() > 0.01
