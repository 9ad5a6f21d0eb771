"""Inventory of the published archive: names, counts, labels."""

import hashlib

from tvn_mmaction.datasets.manifest import Clip, classes_of
from tvn_mmaction.datasets.preparation.scan import compile_group_pattern
from tvn_mmaction.datasets.preparation.ucf50_inventory import UCF50_CLASSES, compare_with_ucf50, ucf50_names


def clips_of(names: list[str]) -> list[Clip]:
    find = compile_group_pattern('ucf50')
    return [Clip(name, name.partition('/')[0], find.search(name[:-4])[1]) for name in names]


def test_names_are_those_of_the_archive():
    names = ucf50_names()
    assert len(names) == len(set(names)) == 6681
    # Of the archive's own listing, sorted, a line each.
    digest = hashlib.sha256(''.join(f'{name}\n' for name in names).encode()).hexdigest()
    assert digest == 'fe0b0631adace5f73953febe13310b9285a36f93a890f3caf66e59ee0ebff152'


def test_label_map_is_fixed():
    assert classes_of(clips_of(ucf50_names())) == list(UCF50_CLASSES)
    assert UCF50_CLASSES.index('JumpRope') + 1 == UCF50_CLASSES.index('JumpingJack') == 18


def test_comparison_with_the_archive():
    names = ucf50_names()
    assert compare_with_ucf50(clips_of(names)) == 'the complete archive UCF50: 50 classes, 6,681 clips'
    assert compare_with_ucf50(clips_of(names[1:])).startswith(
        'a subset of UCF50: 50 of its 50 classes, 6,680 of its 6,681 clips; BaseballPitch/v_BaseballPitch_g01_c01.avi'
    )
    other = compare_with_ucf50([*clips_of(names[:3]), Clip('Cooking/a.avi', 'Cooking', 'a.avi')])
    assert other.startswith('not UCF50: 2 classes, 4 clips, 3 of them with a name of UCF50; Cooking/a.avi')
