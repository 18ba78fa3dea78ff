"""How right class ids are, by hand."""

import torch

from data.labels import Labels
from data.notes import PITCH_CLASSES

CLASSES = (("octave", ("3", "4", "5")), ("pitch", PITCH_CLASSES), ("dynamics", ("p", "f")))
A4F, C5P, REST = (1, 0, 1), (2, 3, 0), (3, 12, 2)


def labels(*instruments, silence=True, classes=CLASSES):
    return Labels(classes, instruments or ("flute",), silence, rate=30.0)


def compared(kind, reference, estimate):
    return {name: share.tolist() for name, share in kind.compare(torch.tensor(reference), torch.tensor(estimate)).items()}


def test_one_instrument_is_right_label_by_label_and_in_all():
    found = compared(labels(silence=False), [[A4F], [A4F], [A4F]], [[A4F], [(1, 0, 0)], [C5P]])
    assert found == {"octave": [1, 1, 0], "pitch": [1, 1, 0], "dynamics": [1, 0, 0], "all": [1, 0, 0]}


def test_who_sounds_is_a_score_of_its_own_where_silence_is_a_class():
    found = compared(labels(), [[A4F], [REST], [REST]], [[C5P], [REST], [A4F]])
    assert found["sounding"] == [1, 1, 0]
    assert found["all"] == [0, 1, 0]


def test_swapped_sources_are_right_but_for_who_plays_them():
    found = compared(labels("flute", "cello"), [[A4F, C5P]], [[C5P, A4F]])
    assert found["all"] == found["pitch"] == [0]
    assert found["all_assigned"] == found["pitch_assigned"] == found["octave_assigned"] == [1]
    assert found["sounding"] == [1]


def test_silence_is_assigned_as_any_other_class():
    found = compared(labels("flute", "cello"), [[A4F, REST]], [[REST, A4F]])
    assert found["sounding"] == [0]
    assert found["all_assigned"] == [1]


def test_one_assignment_holds_for_all_labels():
    """Swapping makes the pitches right but the octaves and the dynamics wrong: it does not pay."""
    found = compared(labels("flute", "cello"), [[(1, 0, 1), (2, 3, 0)]], [[(1, 3, 1), (2, 0, 0)]])
    assert (found["octave_assigned"], found["pitch_assigned"], found["dynamics_assigned"]) == ([1], [0], [1])
    assert found["pitch_assigned"] == found["pitch"]


def test_the_assignment_is_no_worse_than_the_order_given():
    random = torch.Generator().manual_seed(0)
    reference, estimate = (torch.randint(0, 2, (200, 3, 3), generator=random) for _ in range(2))
    found = labels("a", "b", "c").compare(reference, estimate)
    right = sum(found[name] for name in ("octave", "pitch", "dynamics"))
    assigned = sum(found[f"{name}_assigned"] for name in ("octave", "pitch", "dynamics"))
    assert (assigned >= right - 1e-9).all()
    assert (assigned > right + 1e-9).any()


def test_half_of_the_sources_is_half_right():
    assert compared(labels("flute", "cello"), [[A4F, REST]], [[A4F, C5P]])["all"] == [0.5]


def test_facets_are_of_every_label_of_every_instrument():
    ids = torch.tensor([[A4F, REST], [C5P, A4F]])
    found = labels("flute", "cello").facets(ids)
    assert list(found) == [f"{name} {label}" for name in ("flute", "cello") for label, _ in CLASSES]
    assert found["cello dynamics"].ids.tolist() == [2, 1]
    assert found["cello dynamics"].names == ("p", "f", "silent")
    assert [found[f"flute {label}"].order for label, _ in CLASSES] == ["line", "circle", "line"]
    assert list(labels().facets(ids[:, :1])) == ["octave", "pitch", "dynamics"]


def test_other_labels_have_no_order():
    kind = labels(classes=(("technique", ("normal", "trill")),))
    assert kind.facets(torch.zeros(1, 1, 1))["technique"].order == "none"


def poll(kind, reference, estimate, item, group):
    found = kind.poll(*map(torch.tensor, (reference, estimate, item, group)))
    return {name: (right.tolist(), groups.tolist()) for name, (right, groups) in found.items()}


def test_a_recording_is_named_by_its_frames_label_by_label():
    """Recording 8 comes in two parts; each label is elected by itself, so that the three need not come from one frame."""
    found = poll(
        labels(),
        [[A4F], [C5P], [A4F], [A4F]],
        [[(1, 3, 1)], [C5P], [(1, 0, 0)], [(2, 0, 1)]],
        [[8], [5], [8], [8]],
        [[1], [2], [1], [1]],
    )
    assert found["octave"] == ([1, 1], [2, 1])  # in the order of items
    assert found["pitch"] == found["dynamics"] == found["all"] == ([1, 1], [2, 1])


def test_a_recording_that_is_called_silent_is_named_wrong():
    found = poll(labels(), [[A4F]] * 3, [[REST], [REST], [A4F]], [[0]] * 3, [[0]] * 3)
    assert found["all"] == found["octave"] == ([0], [0])


def test_frames_in_which_an_instrument_rests_do_not_vote():
    found = poll(
        labels("flute", "cello"),
        [[A4F, REST], [REST, C5P], [REST, C5P]],
        [[A4F, A4F], [C5P, C5P], [C5P, C5P]],
        [[0, 0], [0, 0], [0, 0]],
        [[3, 3], [3, 3], [3, 3]],
    )
    assert found["all"] == ([1, 1], [6, 7])  # groups of two instruments do not meet


def test_where_nothing_sounds_nothing_is_polled():
    assert labels().poll(torch.tensor([[REST]]), torch.tensor([[A4F]]), torch.tensor([[0]]), torch.tensor([[0]])) == {}
