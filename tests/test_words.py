import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.labels import Labels
from data.notes import PITCH_CLASSES, Notes, Track
from data.words import LONGEST, file_name, notes_in, parse, transposed, with_dynamics
from utils.config import InputError

TABLES = {"octave": ("3", "4", "5"), "pitch": PITCH_CLASSES, "dynamics": ("pp", "p", "mf", "f", "ff"), "manner": ("plain", "trill")}


def labels(*names, instruments=("flute",), silence=False):
    return Labels(tuple((name, TABLES[name]) for name in names or ("octave", "pitch", "dynamics")), instruments, silence, 31.3)


DUO = labels(instruments=("flute", "cello"), silence=True)


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("A4:mf", [1, 0, 2]),
        ("A4:2", [1, 0, 2]),
        ("A4", [1, 0, 2]),  # the middle dynamics
        ("A4:", [1, 0, 2]),
        ("Bb3:p", [0, 1, 1]),
        ("a#3:p", [0, 1, 1]),
        ("B♭3:p", [0, 1, 1]),
        (" C5:ff ", [2, 3, 4]),
    ],
)
def test_words_are_ids(word, ids):
    assert parse(labels(), [word]).tolist() == [[ids]]


def test_several_sources_are_joined():
    assert parse(DUO, ["A4:mf+C3:p", "rest + C3:p", "flute A4 + cello rest", "rest+rest"]).tolist() == [
        [[1, 0, 2], [0, 3, 1]],
        [[3, 12, 5], [0, 3, 1]],
        [[1, 0, 2], [3, 12, 5]],
        [[3, 12, 5], [3, 12, 5]],
    ]


def test_numbers_are_ids_one_after_another():
    assert parse(labels(), ["1", "0", "2", "2", "3", "4"]).tolist() == [[[1, 0, 2]], [[2, 3, 4]]]
    assert parse(DUO, ["1", "0", "2", "3", "12", "5"]).tolist() == [[[1, 0, 2], [3, 12, 5]]]


@pytest.mark.parametrize(
    "known",
    [
        DUO,
        labels("dynamics", "pitch", "octave"),
        labels("pitch", "manner", "dynamics", "octave"),
        labels("dynamics", "manner"),
        labels("pitch"),
    ],
)
@given(data=st.data())
def test_parsing_undoes_text(known, data):
    source = st.tuples(*(st.integers(0, len(names) - 1) for _, names in known.classes))
    if known.silence:
        source |= st.just(known.silent_ids)
    frames = st.lists(st.lists(source, min_size=known.shape[0], max_size=known.shape[0]), min_size=1, max_size=4)
    ids = torch.tensor(data.draw(frames))
    assert torch.equal(parse(known, known.text(ids)), ids)
    assert torch.equal(parse(known, [str(i) for i in ids.flatten().tolist()]), ids)


@pytest.mark.parametrize(
    ("known", "words", "message"),
    [
        (labels(), [], "no labels are given"),
        (labels(), [""], "is no name of a pitch"),
        (labels(), ["H4:mf"], "'H4' is no name of a pitch"),
        (labels(), ["A:mf"], "'A' is no name of a pitch"),
        (labels(), ["A4:mf", "4"], "'4' is no name of a pitch"),
        (labels(), ["A2:mf"], "A2 is no note of this run: its notes lie within C3 to B5"),
        (labels(), ["C11"], "C11 would be MIDI pitch 144"),
        (labels(), ["A4:loud"], "'loud' is no dynamics of this run, which knows 0 pp, 1 p, 2 mf, 3 f, 4 ff"),
        (labels(), ["A4:5"], "'5' is no dynamics"),
        (labels(), ["A4:" + "5" * 5000], "is no dynamics"),
        (labels(), ["1" * 5000], "is no name of a pitch"),
        (labels(), ["A4:mf:trill"], "says too much: this run knows octave and pitch, dynamics"),
        (labels(), ["A4+C5"], "'A4[+]C5' names 2 of this run's flute: write A4:mf"),
        (DUO, ["A4"], r"'A4' names 1 of this run's flute, cello: write A4:mf\+A4:mf"),
        (labels(), ["rest"], "never shown silence"),
        (labels(), ["3", "12", "5"], "never shown silence"),
        (DUO, ["3", "12", "4", "1", "0", "2"], "3 is no octave of this run, which knows 0 3, 1 4, 2 5"),
        (labels(), ["1", "0"], "2 class ids are given: this run takes 3 a label, octave, pitch, dynamics of flute"),
        (labels(), ["1", "12", "0"], "12 is no pitch of this run"),
        (labels(), ["1", "-1", "0"], "-1 is no pitch of this run"),
        (labels("dynamics"), ["loud"], "'loud' is no dynamics"),
        (labels("octave"), ["A4"], "'A4' is no octave of this run, which knows 3 4 5"),
        (labels("pitch"), ["A4"], "'A4' is no name of a pitch class"),
    ],
)
def test_what_a_run_cannot_play(known, words, message):
    with pytest.raises(InputError, match=message) as error:
        parse(known, words)
    assert "\n" not in str(error.value)


def test_transposition_keeps_silence_and_dynamics():
    ids = parse(DUO, ["A4:ff+rest", "C3:pp+B4:p"])
    assert torch.equal(transposed(DUO, ids, 3), parse(DUO, ["C5:ff+rest", "D#3:pp+D5:p"]))
    assert torch.equal(transposed(DUO, transposed(DUO, ids, 3), -3), ids)
    assert transposed(DUO, ids, 0) is ids


def test_transposition_of_pitch_classes_alone():
    known = labels("pitch")
    assert torch.equal(transposed(known, parse(known, ["G#"]), 14), parse(known, ["A#"]))


@pytest.mark.parametrize("semitones", [-22, 15, 1000])
def test_transposition_beyond_the_run(semitones):
    with pytest.raises(InputError, match=f"A4 transposed by {semitones} is no note of this run: its notes lie within C3 to B5"):
        transposed(labels(), parse(labels(), ["A4"]), semitones)


def test_a_run_without_pitches_is_not_transposed():
    with pytest.raises(InputError, match="names no pitch"):
        transposed(labels("dynamics"), parse(labels("dynamics"), ["mf"]), 1)


def test_dynamics_replace_those_of_what_sounds():
    ids = parse(DUO, ["A4:ff+rest"])
    assert torch.equal(with_dynamics(DUO, ids, "p"), parse(DUO, ["A4:p+rest"]))
    assert torch.equal(with_dynamics(DUO, ids, "0"), parse(DUO, ["A4:pp+rest"]))
    assert torch.equal(ids, parse(DUO, ["A4:ff+rest"]))


@pytest.mark.parametrize(("known", "message"), [(DUO, "which knows 0 pp, 1 p"), (labels("pitch"), "which knows none at all")])
def test_unknown_dynamics(known, message):
    with pytest.raises(InputError, match=message):
        with_dynamics(known, torch.zeros(1, *known.shape, dtype=torch.int64), "fff")


def scale(*velocities):
    n = len(velocities)
    return Notes(range(n), range(1, n + 1), range(60, 60 + n), velocities, [0] * n, (Track(),))


@pytest.mark.parametrize(("dynamics", "expected"), [("ff", 4), ("4", 4), ("0", 0), ("pp", 0)])
def test_dynamics_of_notes_can_be_forced_by_name_or_id(dynamics, expected):
    forced = notes_in(labels(), scale(1, 64, 127), dynamics)
    assert labels().ids(forced)[:, 2].tolist() == [expected] * 3
    assert len(set(forced.velocity)) == 1


def test_names_of_dynamics_go_before_ids():
    by_velocity = Labels((("pitch", ("C",)), ("dynamics", ("100", "1"))), ("flute",), False, 30.0)
    assert notes_in(by_velocity, scale(64), "1").velocity.tolist() == [1]


@pytest.mark.parametrize("dynamics", ["fff", "5", "-1", "²"])
def test_unknown_dynamics_of_notes(dynamics):
    with pytest.raises(InputError, match="which knows 0 pp, 1 p, 2 mf, 3 f, 4 ff"):
        notes_in(labels(), scale(64), dynamics)


def test_names_of_files_can_be_read():
    assert file_name(labels(), parse(labels(), ["A4:mf", "Bb3:p"])) == "A4-mf_As3-p"
    assert file_name(DUO, parse(DUO, ["A4:mf+C3:p", "rest+C3:p"])) == "A4-mf+C3-p_rest+C3-p"


def test_long_names_stay_short_and_differ():
    first, second = (file_name(labels(), parse(labels(), ["A4:mf"] * 50 + [last])) for last in ("C4", "D4"))
    assert len(first) == LONGEST and first != second and first.startswith("A4-mf_A4-mf")
