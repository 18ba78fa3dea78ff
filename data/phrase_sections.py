"""The splits of few pieces of one's own: where there are too few to hold whole ones out, sections of them are, or nothing."""

from collections.abc import Iterator
from dataclasses import replace

from data.phrase_corpora import PhraseCorpus, PhrasePiece
from data.phrase_windows import PhraseWindows
from data.phrases import BAR, Phrase
from data.splits import SPLITS

FEW_PHRASES, FEW_PIECES = 40, 5  # below which nothing is held out; below which sections are, instead of pieces
TENTH, LEAST = 10, 5  # one part of a line is held out of so many; a line of fewer such parts is trained on as a whole


def personal(corpus: PhraseCorpus, phrase: Phrase) -> PhraseCorpus:
    """Return pieces with splits that fit how much there is.

    Splits that the files give are kept, and absent ones made where there are three pieces. Else, as where none is to train on,
    below 40 phrases that begin at bars all is trained on, and valid and test are empty. Of five different pieces and more, pieces
    are held out by their hash; of fewer, sections at the ends of their lines: no phrase lies in two. Music repeats itself, so these
    are easier than other pieces.
    """
    different = len({piece.identity for piece in corpus})
    given = {piece.split for piece in corpus} if any(piece.given for piece in corpus) else set()
    if given and different >= len(SPLITS):
        return corpus.with_all_splits()
    if "train" in given:
        return corpus
    if len(PhraseWindows(corpus.pieces, phrase)) < FEW_PHRASES:
        return replace(corpus, pieces=tuple(replace(piece, split="train") for piece in corpus))
    if different >= FEW_PIECES:
        return corpus.with_all_splits()
    return replace(corpus, pieces=tuple(part for piece in corpus for part in sections(piece, phrase)))


def sections(piece: PhrasePiece, phrase: Phrase) -> Iterator[PhrasePiece]:
    """Yield the parts of a piece, each of one split: of long lines the last tenth to test on, and the one before to validate."""
    known = piece.line_labels or ({},) * len(piece.lines)
    parts = {split: [] for split in SPLITS}
    for line, labels in zip(piece.lines, known, strict=True):
        bars = len(line) // BAR
        held = max(phrase.span // BAR, bars // TENTH)
        first = [0, len(line), len(line)] if bars < LEAST * held else [0, (bars - 2 * held) * BAR, (bars - held) * BAR]
        for split, start, end in zip(SPLITS, first, [*first[1:], len(line)], strict=True):
            parts[split] += [(line[start:end], labels)] if end > start else []
    for split, found in parts.items():
        if found:
            lines, labels = zip(*found, strict=True)
            yield replace(piece, split=split, identity=f"{piece.identity} {split}", lines=lines, line_labels=labels)
