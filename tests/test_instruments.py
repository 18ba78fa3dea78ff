import json
import logging
import os
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import instruments
from data.filenames import fields_of
from data.instruments import OCTAVES, read
from data.notes import PITCH_CLASSES, name_of
from utils.config import InputError

PHILHARMONIA = Path(__file__).parents[2] / "shared" / "data" / "philharmonia"


def sounds(root, *files):
    """Write a sounding file of 0.1 s under each name."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(b"\0\x10\0\xf0" * 400)


def texts(corpus, *labels):
    """Return the labels of every note by its file's name."""
    return {note.path.name: " ".join(note.labels.get(label, "-") for label in labels) for note in corpus.notes}


def refused(message, *given):
    with pytest.raises(InputError, match=message) as caught:
        read(*given)
    assert "\n" not in str(caught.value)


# ---- notes.csv


def notes_csv(root, text, *files):
    sounds(root, *files)
    (root / "notes.csv").write_text(text, encoding="utf-8")
    return root


def test_notes_csv(tmp_path):
    table = "file,instrument,pitch,octave,dynamics,seconds\nb/x.wav,flute,A#,4,mf,1.5\na/y.wav,cello,Bb,2,pianissimo,10\n"
    corpus = read(notes_csv(tmp_path, table, "b/x.wav", "a/y.wav"))
    assert [note.path for note in corpus.notes] == [tmp_path / "a/y.wav", tmp_path / "b/x.wav"]
    assert corpus.notes[1].labels == {"instrument": "flute", "pitch": "A#", "octave": "4", "dynamics": "mf", "seconds": "1.5"}
    assert [note.identity for note in corpus.notes] == ["cello/A#/2/pp", "flute/A#/4/mf"]
    assert corpus.classes == {
        "instrument": ("cello", "flute"),
        "pitch": PITCH_CLASSES,
        "octave": OCTAVES,
        "dynamics": ("pp", "mf"),
        "seconds": ("1.5", "10"),
    }
    assert corpus.notes[0].magnitudes is None


@pytest.mark.parametrize(
    "header, line",
    [
        ("octave,file,pitch,instrument", "4,x.wav,C#,oboe"),
        ("\ufeffFile; Instrument ;Pitch;Octave", "x.wav;oboe;Db;4.0"),
        ("file\tinstrument\tpitch", "x.wav\toboe\tC#4"),
        ("file,instrument,pitch", "x.wav,oboe,61"),
        ("file,instrument,midi", "x.wav, oboe ,61.0"),
        ("file,instrument,note,pitch", "x.wav,oboe,Db4,ignored"),
        ("file,instrument,pitch,octave", "x.wav,oboe,C#4,"),
        ('"file","instrument","pitch"', '"x.wav","oboe","c♯4"\r\n\r\n'),
    ],
)
def test_notes_csv_says_pitch_in_many_ways(tmp_path, header, line):
    corpus = read(notes_csv(tmp_path, f"{header}\n{line}\n", "x.wav"))
    assert texts(corpus, "instrument", "pitch", "octave", "dynamics") == {"x.wav": "oboe C# 4 -"}
    assert "dynamics" not in corpus.classes


@given(st.integers(12, 119), st.sampled_from(["{}{}", "{}{}.0"]))
def test_class_and_octave_are_the_midi_number(midi, style):
    pitch, octave = name_of(midi)
    by_name = instruments._labels({"instrument": "x", "pitch": pitch, "octave": style.format("", octave)})
    assert by_name == instruments._labels({"instrument": "x", "midi": str(midi)})
    assert (by_name == {}) == (octave > 8)
    if by_name:
        assert 12 * int(by_name["octave"]) + (PITCH_CLASSES.index(by_name["pitch"]) + 9) % 12 + 12 == midi


def test_octaves_change_at_c(tmp_path):
    table = "file,instrument,note\na.wav,x,Cb4\nb.wav,x,B#3\nc.wav,x,B3\n"
    corpus = read(notes_csv(tmp_path, table, "a.wav", "b.wav", "c.wav"))
    assert texts(corpus, "pitch", "octave") == {"a.wav": "B 3", "b.wav": "C 4", "c.wav": "B 3"}


@given(st.dictionaries(st.sampled_from(["instrument", "pitch", "octave", "note", "midi", "dynamics", "x"]), st.none() | st.text()))
def test_any_fields_become_labels_or_nothing(fields):
    labels = instruments._labels(fields)
    assert not labels or (labels["pitch"] in PITCH_CLASSES and labels["octave"] in OCTAVES and labels["instrument"])


def test_unreadable_notes_are_counted_in_one_line(tmp_path, caplog):
    lines = ["a.wav,flute,A,4", "b.wav,flute,H,4", "c.wav,,A,4", "d.wav,flute,A,9", "e.wav,flute", "f.wav,flute,6,4"]
    table = "file,instrument,pitch,octave\n" + "\n".join(lines)
    with caplog.at_level(logging.WARNING):
        corpus = read(notes_csv(tmp_path, table, *(f"{name}.wav" for name in "abcdef")))
    assert len(corpus.notes) == 1
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["5 of 6 notes skipped, as b.wav"]


def test_classes_come_in_musical_and_natural_order(tmp_path):
    dynamics = ["loud", "100", "20", "ff", "ppp", "mezzo-piano", "forte", "ff"]
    lines = [f"{i}.wav,x,{60 + i},{name},{i + 4}" for i, name in enumerate(dynamics)]
    files = [f"{i}.wav" for i in range(len(lines))]
    corpus = read(notes_csv(tmp_path, "file,instrument,midi,dynamics,take\n" + "\n".join(lines), *files))
    assert corpus.classes["dynamics"] == ("ppp", "mp", "f", "ff", "20", "100", "loud")
    assert corpus.classes["take"] == ("4", "5", "6", "7", "8", "9", "10", "11")


def test_tables_that_cannot_be_used_are_named(tmp_path):
    refused("2 of its files are missing, first .*a.wav", notes_csv(tmp_path, "file,instrument,midi\na.wav,x,60\nb.wav,x,61\n"))
    sounds(tmp_path, "a.wav")
    refused("lists .*a.wav more than once", notes_csv(tmp_path, "file,instrument,midi\na.wav,x,60\na.wav,x,61\n"))
    refused("no column pitch or note or midi, but file, instrument", notes_csv(tmp_path, "file,instrument\na.wav,x\n"))
    refused("no column file", notes_csv(tmp_path, "instrument,pitch\nx,60\n"))
    refused("not a table", notes_csv(tmp_path, ""))
    refused("not a table", notes_csv(tmp_path, 'file,instrument,midi\n"a.wav,x,60'))
    refused("holds no notes", notes_csv(tmp_path, "file,instrument,midi\n"))
    (tmp_path / "notes.csv").write_bytes(b"file,instrument,midi\n\xff\xfe,x,60\n")
    refused("not a table", tmp_path)
    (tmp_path / "notes.csv").unlink()
    os.mkfifo(tmp_path / "notes.csv")
    refused("is no file", tmp_path)


# ---- TinySOL, OrchideaSOL


SOL_HEADER = (
    "Path,Fold,Family,Instrument (abbr.),Instrument (in full),Technique (abbr.),Technique (in full),"
    "Pitch,Pitch ID,Dynamics,Dynamics ID,Instance ID,String ID (if applicable),Needed digital retuning\n"
)


@pytest.mark.parametrize("folder", ["", "TinySOL"])
def test_tinysol_with_its_table(tmp_path, folder):
    files = ["Brass/Bass_Tuba/ordinario/BTb-ord-F#1-pp-N-N.wav", "Winds/Sax_Alto/ordinario/ASax-ord-A#3-ff-N-T17d.wav"]
    sounds(tmp_path / folder, *files)
    lines = [
        f"{files[0]},0,Brass,BTb,Bass Tuba,ord,ordinario,F#1,30,pp,0,0,,False",
        f"{files[1]},3,Winds,ASax,Alto Saxophone,ord,ordinario,A#3,58,ff,4,0,,True",
    ]
    (tmp_path / "TinySOL_metadata.csv").write_text(SOL_HEADER + "\n".join(lines))
    expected = {
        "BTb-ord-F#1-pp-N-N.wav": "Bass-Tuba F# 1 pp Brass ordinario",
        "ASax-ord-A#3-ff-N-T17d.wav": "Alto-Sax A# 3 ff Winds ordinario",
    }
    assert texts(read(tmp_path), "instrument", "pitch", "octave", "dynamics", "family", "technique") == expected


def test_sol_table_names_instruments_beyond_tinysol_in_full(tmp_path):
    sounds(tmp_path, "Hp-ord-A4-mf-N-N.wav")
    line = "Hp-ord-A4-mf-N-N.wav,0,Plucked,Hp,Harp,ord,ordinario,A4,69,mf,2,0,,False"
    (tmp_path / "OrchideaSOL_metadata.csv").write_text(SOL_HEADER + line)
    assert texts(read(tmp_path), "instrument", "octave") == {"Hp-ord-A4-mf-N-N.wav": "Harp 4"}


def test_tinysol_table_without_its_files(tmp_path):
    (tmp_path / "TinySOL_metadata.csv").write_text(SOL_HEADER + "no/a.wav,0,Brass,BTb,Bass Tuba,ord,ordinario,F#1,30,pp,0,0,,\n")
    refused("1 of its files are missing", tmp_path)


# ---- names of files


@pytest.mark.parametrize(
    "stem, expected",
    [
        ("Vc-ord-A#2-mf-2c-T23u", "Violoncello A#2 mf ord"),
        ("BTb-ord-F#1-pp-N-N", "Bass-Tuba F#1 pp ord"),
        ("BTb-ord-A#1-ff", "Bass-Tuba A#1 ff ord"),
        ("Vn+S-pont-trem-G6-p-4c-N", "Violin G6 p pont-trem"),
        ("flute_A4_15_forte_normal", "flute A4 forte normal"),
        ("saxophone_As4_025_mezzo-forte_normal", "saxophone As4 mezzo-forte normal"),
        ("double-bass_Ds2_very-long_pianissimo_arco-normal", "double-bass Ds2 pianissimo arco-normal"),
        ("Flute.vib.ff.A4.stereo", "Flute A4 ff vib"),
        ("Piano.pp.Bb3", "Piano Bb3 pp -"),
        ("Violin.arco.mf.sulG.C4.stereo", "Violin C4 mf arco"),
        ("AltoSax.NoVib.ff.Db3.stereo", "AltoSax Db3 ff NoVib"),
    ],
)
def test_styles_of_names(stem, expected):
    fields = fields_of(stem)
    assert " ".join(fields.get(name, "-") for name in ("instrument", "note", "dynamics", "technique")) == expected
    assert instruments._labels(fields)["dynamics"] in instruments.DYNAMICS


@pytest.mark.parametrize(
    "stem",
    [
        "Flute.vib.ff.B3B4.stereo",  # several notes
        "Violin.arco.ff.sulA.A4B5",
        "flute_A4_long_cresc-decresc_normal",
        "flute_A4_phrase_molto-pianissimo_normal",
        "agogo-bells__025_forte_struck-singly",
        "Fl-cresc-A4-ppmfpp-N-N",
        "Vn-ord-N-mf-N-N",
        "kick",
        "",
    ],
)
def test_names_that_tell_no_single_note(stem):
    assert fields_of(stem) == {}


@given(st.text())
def test_any_name_can_be_asked(stem):
    assert isinstance(fields_of(stem), dict)


def test_folder_of_named_files(tmp_path, caplog):
    sounds(tmp_path, "x/flute_As4_1_forte_normal.mp3", "Piano.pp.Bb3.aiff", "Vc-ord-A#2-mf-2c-T23u.WAV")
    os.mkfifo(tmp_path / "flute_C4_1_forte_normal.wav")
    (tmp_path / "flute_C5_1_forte_normal.wav").mkdir()
    sounds(tmp_path, "flute_A4_1_crescendo_normal.mp3", "Flute.vib.ff.B3B4.aif", ".hidden_A4_1_forte_normal.wav", "README.txt")
    with caplog.at_level(logging.WARNING):
        corpus = read(tmp_path)
    assert texts(corpus, "instrument", "pitch", "octave", "dynamics") == {
        "Piano.pp.Bb3.aiff": "Piano A# 3 pp",
        "Vc-ord-A#2-mf-2c-T23u.WAV": "Violoncello A# 2 mf",
        "flute_As4_1_forte_normal.mp3": "flute A# 4 f",
    }
    assert len(caplog.records) == 1 and "2 of 5 notes skipped" in caplog.text


# ---- a pattern


def test_label_pattern(tmp_path, caplog):
    sounds(tmp_path, "Harp/ff/n60_take2.wav", "Harp/p/n61_take10.wav", "Harp/loops/all.wav")
    (tmp_path / "notes.csv").write_text("not looked at")
    with caplog.at_level(logging.WARNING):
        corpus = read(tmp_path, r"^(?P<instrument>\w+)/(?P<dynamics>[pmf]+)/n(?P<midi>\d+)(_take(?P<take>\d+))?")
    labels = ("instrument", "pitch", "octave", "dynamics", "take")
    assert texts(corpus, *labels) == {"n60_take2.wav": "Harp C 4 ff 2", "n61_take10.wav": "Harp C# 4 p 10"}
    assert corpus.classes["take"] == ("2", "10")
    assert "1 of 3 notes skipped" in caplog.text


@pytest.mark.parametrize("pitch", [r"(?P<pitch>[A-G]b?)(?P<octave>\d)", r"(?P<note>[A-G]b?\d)"])
def test_label_pattern_by_name(tmp_path, pitch):
    sounds(tmp_path, "viola-Eb3.wav")
    corpus = read(tmp_path, rf"(?P<instrument>\w+)-{pitch}")
    assert [note.identity for note in corpus.notes] == ["viola/D#/3/"]


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("(", "not a regular expression"),
        ("a{99999999999999999999}", "not a regular expression"),
        ("(?P<instrument>x)", "name its groups"),
        ("(?P<note>x)", "name its groups"),
        ("(?P<instrument>x)(?P<pitch>y)", "name its groups"),
        ("(?P<instrument>zither)(?P<note>A4)", "labels of 1 notes cannot be read, as of a.wav"),
    ],
)
def test_label_patterns_that_find_nothing(tmp_path, pattern, message):
    sounds(tmp_path, "a.wav")
    refused(message, tmp_path, pattern)


# ---- NSynth


def nsynth(root, examples):
    sounds(root / "audio", *(f"{name}.wav" for name in examples))
    (root / "examples.json").write_text(json.dumps(examples))
    return root


def test_nsynth(tmp_path, caplog):
    def example(pitch, velocity):
        source = {"instrument_source_str": "acoustic", "qualities_str": ["bright"]}
        return dict(instrument_str="flute_acoustic_002", instrument_family_str="flute", pitch=pitch, velocity=velocity, **source)

    examples = {f"flute_acoustic_002-{p:03}-{v:03}": example(p, v) for p, v in [(60, 25), (61, 127), (62, 75), (9, 100)]}
    with caplog.at_level(logging.WARNING):
        corpus = read(nsynth(tmp_path, examples))
    assert sorted(texts(corpus, "instrument", "family", "pitch", "octave", "dynamics").values()) == [
        "flute_acoustic_002 flute C 4 pp",
        "flute_acoustic_002 flute C# 4 ff",
        "flute_acoustic_002 flute D 4 mf",
    ]
    assert "1 of 4 notes skipped" in caplog.text  # octave -1


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', "[" * 100_000, '{"a": {}}'])
def test_damaged_nsynth_table_is_refused(tmp_path, text):
    sounds(tmp_path, "audio/a.wav")
    (tmp_path / "examples.json").write_text(text)
    refused("not NSynth's table|cannot be read", tmp_path)


# ---- what is no corpus


def test_other_things_are_refused_with_what_would_do(tmp_path):
    refused("does not exist: give a folder with notes.csv", tmp_path / "no")
    refused("holds no notes: give a folder with notes.csv", tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    refused("is no corpus: give a folder with notes.csv", tmp_path / "notes.txt")
    sounds(tmp_path, "kick.wav", "snare.wav")
    refused("the labels of 2 notes cannot be read.*label_pattern", tmp_path)


# ---- selecting


@pytest.fixture
def band(tmp_path):
    names = ["Alto-Sax", "flute", "flute", "Violoncello", "Clarinet-Bb", "Tenor Sax", "Trumpet-C"]
    table = "file,instrument,midi\n" + "".join(f"{i}.wav,{name},{60 + i}\n" for i, name in enumerate(names))
    return read(notes_csv(tmp_path, table, *(f"{i}.wav" for i in range(len(names)))))


def test_select_keeps_the_order_asked(band):
    groups = band.select(["Violoncello", "flute"])
    assert [[note.path.name for note in group] for group in groups] == [["3.wav"], ["1.wav", "2.wav"]]
    assert band.most_common() == "flute"


@pytest.mark.parametrize(
    "asked, name",
    [
        ("Flute", "flute"),
        ("alto sax", "Alto-Sax"),
        ("AltoSax", "Alto-Sax"),
        ("saxophone", "Alto-Sax"),
        ("Cello", "Violoncello"),
        ("clarinet", "Clarinet-Bb"),
        ("Trumpet", "Trumpet-C"),
        ("tenor_sax", "Tenor Sax"),
    ],
)
def test_select_by_spelling_and_alias(band, asked, name):
    assert band.select([asked])[0][0].labels["instrument"] == name


def test_select_names_what_exists(band):
    with pytest.raises(InputError, match=r"'Harp' is not in the corpus: .* has Alto-Sax Clarinet-Bb Tenor Sax"):
        band.select(["flute", "Harp"])
    for asked in ([], ["flute", "Flute"], ["Alto-Sax", "saxophone"]):
        with pytest.raises(InputError, match="each once"):
            band.select(asked)


def test_select_refuses_to_guess(tmp_path):
    table = "file,instrument,midi\na.wav,Cello,60\nb.wav,Violoncello,60\nc.wav,cello,60\n"
    corpus = read(notes_csv(tmp_path, table, "a.wav", "b.wav", "c.wav"))
    assert corpus.select(["cello"])[0][0].path.name == "c.wav"
    with pytest.raises(InputError, match="may mean Cello or cello"):
        corpus.select(["CELLO"])
    with pytest.raises(InputError, match="may mean Cello or Violoncello or cello"):
        corpus.select(["vc"])


def test_long_lists_of_instruments_are_cut(tmp_path):
    table = "file,instrument,midi\n" + "".join(f"{i}.wav,guitar_{i:03},60\n" for i in range(50))
    corpus = read(notes_csv(tmp_path, table, *(f"{i}.wav" for i in range(50))))
    with pytest.raises(InputError, match=r"guitar_039 and 10 more$"):
        corpus.select(["piano"])


# ---- the real thing


@pytest.mark.skipif(not PHILHARMONIA.exists(), reason="no Philharmonia samples")
def test_real_names_tell_what_the_checked_table_says():
    corpus = read(PHILHARMONIA)
    assert len(corpus.notes) == 1186 and corpus.classes["dynamics"] == ("pp", "p", "mp", "mf", "f", "ff")
    for note in corpus.notes:
        labels = instruments._labels(fields_of(note.path.stem))
        assert all(labels[name] == note.labels[name] for name in ("instrument", "pitch", "octave", "dynamics"))
