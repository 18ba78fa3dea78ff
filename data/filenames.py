"""What the names of audio files tell about the notes in them, by the styles of common sample libraries or by a pattern.

Here are files and fields of text (instrument, note, dynamics, ...); `data.instruments` makes labels of them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from utils.config import InputError

SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3")

_DYNAMICS = "ppp|pp|p|mp|mf|f|ff|fff"
_STYLES = (
    # TinySOL, OrchideaSOL: Vc-ord-A#2-mf-2c-T23u (instrument+mute, technique, note, dynamics, string, retuning)
    rf"(?P<instrument>[A-Za-z]+)(?:\+(?P<mute>\w+))?-(?P<technique>.+?)-(?P<note>[A-G]#?\d)-(?P<dynamics>{_DYNAMICS})(?:-.*)?",
    # Philharmonia: flute_As4_15_mezzo-forte_normal (s: sharp; then the length); others than plain dynamics do not fit
    r"(?P<instrument>[a-z-]+)_(?P<note>[A-G]s?\d)_(?P<length>[a-z0-9-]+)"
    r"_(?P<dynamics>pianissimo|(?:mezzo-)?(?:piano|forte)|fortissimo)_(?P<technique>.+)",
    # Iowa MIS: Violin.arco.mf.sulG.Db4.stereo; a range of notes in one file, B3B4, does not fit
    rf"(?P<instrument>[A-Za-z]+)(?:\.(?P<technique>[A-Za-z.]+?))?\.(?P<dynamics>{_DYNAMICS})(?:\.sul_?(?P<string>[A-G]))?"
    r"\.(?P<note>[A-G][b#]?\d)(?:\.[a-z]+)?",
)
SOL_INSTRUMENTS = {
    "Acc": "Accordion",
    "ASax": "Alto-Sax",
    "Bn": "Bassoon",
    "BTb": "Bass-Tuba",
    "Cb": "Contrabass",
    "ClBb": "Clarinet-Bb",
    "Fl": "Flute",
    "Hn": "French-Horn",
    "Ob": "Oboe",
    "Tbn": "Trombone",
    "TpC": "Trumpet-C",
    "Va": "Viola",
    "Vc": "Violoncello",
    "Vn": "Violin",
}


def fields_of(stem: str) -> dict[str, str]:
    """Return what a file name without its suffix tells: instrument, note (such as ``"A#4"``), dynamics, technique and more.

    Empty where the name is of no known style, or tells of several notes or of changing dynamics.

    >>> fields_of("Vc-ord-A#2-mf-2c-T23u")
    {'instrument': 'Violoncello', 'technique': 'ord', 'note': 'A#2', 'dynamics': 'mf'}
    """
    for style in _STYLES:
        match = re.fullmatch(style, stem)
        if match:
            fields = {name: text for name, text in match.groupdict().items() if text}
            return fields | {"instrument": SOL_INSTRUMENTS.get(fields["instrument"], fields["instrument"])}
    return {}


def audio_files(root: Path) -> list[Path]:
    """List the audio files anywhere below `root`, but for hidden ones; links that lead nowhere are listed, to be told of."""
    named = [path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    return [path for path in named if path.is_file() or path.is_symlink()]


def by_style(root: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield each audio file below `root` with the fields that its name tells."""
    for path in audio_files(root):
        yield path, fields_of(path.stem)


def by_pattern(root: Path, pattern: str) -> Iterator[tuple[Path, dict[str, str | None]]]:
    """Yield each audio file below `root` with the named groups of `pattern`, found in its path relative to `root`.

    Raises
    ------
    InputError
        If the pattern is no regular expression, or lacks the groups that say instrument and pitch.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"--label_pattern '{pattern}': not a regular expression ({error}): mend it") from None
    groups = set(compiled.groupindex)
    if "instrument" not in groups or not (groups & {"note", "midi"} or groups >= {"pitch", "octave"}):
        raise InputError(f"--label_pattern '{pattern}': name its groups (?P<instrument>...) and note, midi, or pitch and octave")
    for path in audio_files(root):
        match = compiled.search(path.relative_to(root).as_posix())
        yield path, match.groupdict() if match else {}
