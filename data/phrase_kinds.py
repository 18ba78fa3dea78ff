"""The kinds of phrases by name."""

from collections.abc import Callable
from functools import partial

from data.drums import Drums, Hits
from data.groove import Groove
from data.melody import Melody
from data.phrases import Phrase
from data.remi import Remi
from data.trio import Trio

GRID: dict[str, Callable[..., Phrase]] = {  # each takes the steps of a phrase first, a sixteenth each
    "melody": Melody,
    "drums": Drums,
    "hits": Hits,
    "all_hits": partial(Hits, full=True),
    "groove": Groove,
    "trio": Trio,
}
KINDS = GRID | {"remi": Remi}  # which takes tokens
