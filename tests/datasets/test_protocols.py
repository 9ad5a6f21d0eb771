"""Protocols: exact folds of the published inventory, reproducibility, group leakage."""

import hashlib
import random
import time
from collections import Counter

import pytest

from tests.datasets.preparation.test_ucf50_inventory import clips_of
from tvn_mmaction.datasets.leakage import check_groups_are_apart, duplicates, same_group
from tvn_mmaction.datasets.manifest import Clip, read_manifest, write_manifest
from tvn_mmaction.datasets.preparation.ucf50_inventory import ucf50_names
from tvn_mmaction.datasets.protocols import (
    DROPPED,
    PROTOCOLS,
    VALIDATION_FOLDS,
    assign_folds,
    dropped_clips,
    fold_count,
    subsets,
    validation_split,
)
from tvn_mmaction.utils.errors import UserError

UCF50 = clips_of(ucf50_names())
BY_GROUP = [name for name, protocol in PROTOCOLS.items() if protocol.by_group]
every_protocol = pytest.mark.parametrize('protocol', [name for name in PROTOCOLS if name != 'own'])


def folds_of(clips, protocol, seed=0):
    folds = assign_folds(clips, protocol, seed)
    return [subsets(clips, folds, fold) for fold in range(max(folds) + 1)]


def fake_clips(class_sizes: dict[str, int], clips_per_group: int = 2) -> list[Clip]:
    return [
        Clip(f'{name}/v_{name}_g{1 + index // clips_per_group:02d}_c{1 + index % clips_per_group:02d}.avi', name,
             f'{1 + index // clips_per_group:02d}')
        for name, size in class_sizes.items()
        for index in range(size)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('protocol', 'digest'),
    [
        ('videowise', '24ab00e61e74fa43d4f7a55c3ad08c01e2972ea7d3f5447a496b3301cc900173'),
        ('videowise5', 'e62836f42757c8f19b01dc24c553c2d06f331ab012ac9935bc8482d72bd2ae17'),
        ('ucf101like', '7d01f930ea779b078c295b65987f300e65f1fee7f0f11596b4f9e3c2a35c7d09'),
        ('groups19to25', '6927cedb2fc3520688b38cc55ae2c53e3b359f8dedc303b2886d42dae2cf202b'),
        ('group5', 'dde29f38df27b4fae404feb11a8005f2a3871b9e6a45283839591b5336b0ecc6'),
        ('twothirds', '4f1e8852292ece48d196ac6f2db4cd3e947de97b80424c349f66dc31a4bd6a7e'),
        ('logo', '2ae78b4a0f3e91c79f215b647236fb1120ff512f2aff141c2aec7c651afa4d39'),
    ],
)
def test_folds_of_ucf50(protocol, digest):
    folds = enumerate(folds_of(UCF50, protocol))
    lists = '\n'.join(f'{fold} {clip.path}' for fold, (_, test) in folds for clip in test)
    assert hashlib.sha256(lists.encode()).hexdigest() == digest


@every_protocol
def test_training_and_test_are_disjoint_and_complete(protocol):
    folds = assign_folds(UCF50, protocol)
    kept = [clip for clip, fold in zip(UCF50, folds, strict=True) if fold != DROPPED]
    for train, test in folds_of(UCF50, protocol):
        assert not set(train) & set(test)
        assert sorted((*train, *test)) == sorted(kept)
        assert {clip.class_name for clip in train} == {clip.class_name for clip in test}
        assert len({clip.class_name for clip in test}) == 50


@pytest.mark.parametrize('protocol', BY_GROUP)
@pytest.mark.parametrize('seed', [0, 1])
def test_no_source_video_is_in_training_and_test(protocol, seed):
    for train, test in folds_of(UCF50, protocol, seed):
        check_groups_are_apart(train, test)
        assert not {clip.group for clip in train} & {clip.group for clip in test}  # nor a person, where one is a group


@every_protocol
def test_validation_folds_cover_training(protocol):
    """Each clip once; of protocols of single clips, there is one fold."""
    folds = assign_folds(UCF50, protocol)
    train, _ = subsets(UCF50, folds, 0)
    count = VALIDATION_FOLDS if PROTOCOLS[protocol].by_group else 1
    validations, held_out = [], validation_split(UCF50, folds, 0, protocol)
    for number in range(count):
        fit, validation = subsets(UCF50, held_out, number)
        assert sorted((*fit, *validation)) == sorted(train) and not set(fit) & set(validation)
        assert len({clip.class_name for clip in validation}) == 50 and 0.1 < len(validation) / len(train) < 0.25
        if PROTOCOLS[protocol].by_group:
            check_groups_are_apart(fit, validation)
        validations += validation
    assert len(set(validations)) == len(validations)
    assert (sorted(validations) == sorted(train)) == PROTOCOLS[protocol].by_group
    assert validation_split(UCF50, folds, 0, protocol, seed=1) != held_out
    for number in (-1, count):
        with pytest.raises(
            UserError, match=f'there is no fold {number} among the {count} of the protocol. Use one from 0'
        ):
            subsets(UCF50, held_out, number)


@pytest.mark.parametrize('protocol', ['videowise', 'videowise5'])
def test_splits_of_single_clips_leak(protocol):
    for train, test in folds_of(UCF50, protocol):
        assert len(same_group(test, train)) / len(test) > 0.99


@pytest.mark.parametrize(('protocol', 'count', 'off'), [('group5', 5, 0.03), ('twothirds', 3, 0.07)])
def test_groups_are_balanced(protocol, count, off):
    for _, test in folds_of(UCF50, protocol):  # 25 groups make thirds of 8, 8 and 9
        assert len(test) == pytest.approx(len(UCF50) / count, rel=off)
        groups = Counter(name for name, _ in {(clip.class_name, clip.group) for clip in test})
        assert set(groups.values()) <= {25 // count + extra for extra in range(3)}
        clips = Counter(clip.class_name for clip in test)
        whole = Counter(clip.class_name for clip in UCF50)
        assert all(0.5 < clips[name] * count / whole[name] < 1.6 for name in whole)


def test_videowise_is_stratified():
    sizes = {'A': 20, 'B': 10, 'C': 3, 'D': 2, 'E': 1}
    ((_, test),) = folds_of(fake_clips(sizes), 'videowise')
    assert {name: sum(clip.class_name == name for clip in test) for name in sizes} == {
        'A': 3, 'B': 2, 'C': 1, 'D': 1, 'E': 0,
    }  # fmt: skip


@every_protocol
def test_folds_do_not_depend_on_order_and_folder(protocol):
    moved = [clip._replace(path=f'/elsewhere/{clip.path}') for clip in random.Random(1).sample(UCF50, len(UCF50))]
    expected = dict(zip((clip.file_name for clip in UCF50), assign_folds(UCF50, protocol), strict=True))
    assert dict(zip((clip.file_name for clip in moved), assign_folds(moved, protocol), strict=True)) == expected


@every_protocol
def test_only_seeded_protocols_depend_on_the_seed(protocol):
    assert (assign_folds(UCF50, protocol, 0) != assign_folds(UCF50, protocol, 1)) == PROTOCOLS[protocol].seeded


@every_protocol
def test_unreadable_clip_changes_no_other_fold(protocol):
    clips = [
        clip._replace(problem='the file is empty') if index % 50 == 7 else clip for index, clip in enumerate(UCF50)
    ]
    for whole, partial in zip(folds_of(UCF50, protocol), folds_of(clips, protocol), strict=True):
        broken = {clip.path for clip in clips if clip.problem}
        for side in (0, 1):
            assert [clip.path for clip in partial[side]] == [c.path for c in whole[side] if c.path not in broken]


def test_leaking_group_names_a_clip():
    clips = fake_clips({'A': 4, 'B': 4})
    with pytest.raises(UserError, match=r'A/v_A_g01_c02\.avi is a test clip, and its group 01 is trained on too'):
        check_groups_are_apart(clips[:1], clips[1:2])


def test_same_group_and_duplicates():
    clip = Clip('A/a', 'A', '01', sha256='1')
    assert same_group([clip], [Clip('A/b', 'A', '01')]) == [clip]
    assert same_group([clip], [Clip('B/b', 'B', '01'), Clip('A/c', 'A', '02')]) == []
    assert duplicates([clip], [Clip('B/b', 'B', '09', sha256='1')]) == [clip]
    assert duplicates([Clip('A/a', 'A', '01')], [Clip('B/b', 'B', '09')]) == []
    assert duplicates([Clip('A/a', 'A', '01')], [Clip('A/a', 'A', '01')]) != []


@pytest.mark.parametrize(
    ('clips', 'protocol', 'message'),
    [
        (fake_clips({'A': 4, 'B': 4}), 'random', 'unknown protocol random. Known are videowise, videowise5'),
        (fake_clips({'A': 4, 'B': 4}), 'group5', '5 folds of whole groups need 5 groups or more, and the clips have 2'),
        ([Clip('A/a', 'A', 'a'), Clip('B/b', 'B', 'b')], 'logo', 'tests none of the 2 clips .*--group-pattern'),
        ([Clip('A/a', 'A', 'a'), Clip('B/b', 'B', 'b')], 'ucf101like', 'tests none of the 2 clips'),
    ],
)
def test_protocols_unsuitable_for_the_clips(clips, protocol, message):
    with pytest.raises(UserError, match=message):
        assign_folds(clips, protocol)


def test_folds_unsuitable_for_the_clips():
    clips = fake_clips({'A': 24, 'B': 2})
    folds = assign_folds(clips, 'ucf101like')
    with pytest.raises(UserError, match='tests on all readable clips of class B'):
        subsets(clips, folds, 0)
    with pytest.raises(UserError, match=r'no fold 1 among the 1 of the protocol\. Use one from 0 to 0'):
        subsets(clips, folds, 1)
    broken = [clip._replace(problem='x') if clip.group < '08' else clip for clip in clips]
    with pytest.raises(UserError, match='fold 0 has no test clip that can be read'):
        subsets(broken, folds, 0)


def own_clips(*splits: str, clips_per_group: int = 1) -> list[Clip]:
    clips = fake_clips({'A': len(splits), 'B': len(splits)}, clips_per_group)
    return [clip._replace(split=split) for clip, split in zip(clips, splits * 2, strict=True)]


def test_own_split():
    clips = own_clips('train', 'validation', 'test', 'unused', 'train')
    folds = assign_folds(clips, 'own')
    train, test = subsets(clips, folds, 0)
    assert [clip.split for clip in train] == ['train'] * 4 and [clip.split for clip in test] == ['test'] * 2
    fit, validation = subsets(clips, validation_split(clips, folds, 0, 'own'), 0)
    assert fit == train and [clip.split for clip in validation] == ['validation'] * 2
    assert len(dropped_clips(clips, folds)) == 2


def test_own_folds_may_overlap():
    clips = own_clips('test test', 'train unused', 'unused train', 'train test')
    first, second = folds_of_own = [subsets(clips, assign_folds(clips, 'own'), fold) for fold in (0, 1)]
    assert [len(test) for _, test in folds_of_own] == [2, 4]
    assert set(first.test) & set(second.test) and not set(first.train) & set(second.train)
    assert fold_count(assign_folds(clips, 'own')) == 2 and not dropped_clips(clips, assign_folds(clips, 'own'))
    with pytest.raises(UserError, match='no fold 2 among the 2 of the protocol'):
        subsets(clips, assign_folds(clips, 'own'), 2)


@pytest.mark.parametrize('groups', [4, 5])
def test_validation_of_an_own_split_without_one(groups):
    """Whole groups are held out if there are enough of them."""
    clips = own_clips(*('train',) * 2 * groups, 'test', 'test', clips_per_group=2)
    held = validation_split(clips, assign_folds(clips, 'own'), 0, 'own')
    fit, validation = subsets(clips, held, 0)
    assert len(fit) + len(validation) == 4 * groups
    assert bool(same_group(validation, fit)) == (groups < VALIDATION_FOLDS)


def test_unsuitable_own_splits():
    with pytest.raises(UserError, match=r'own: the clips came without a split\. Use another protocol'):
        assign_folds(fake_clips({'A': 4}), 'own')
    with pytest.raises(UserError, match='splits of different lengths'):
        assign_folds(own_clips('train test', 'test'), 'own')


LARGE = 100_000  # clips of 2,000 classes


def large_data_set(with_groups: bool) -> list[Clip]:
    numbers = [(index % 2000, index // 2000) for index in range(LARGE)]
    return [
        Clip(
            f'Class{label:04d}/v_{label:04d}_c{clip:02d}.avi',
            f'Class{label:04d}',
            f'{clip % 25 + 1:02d}' if with_groups else f'v_{label:04d}_c{clip:02d}.avi',
            sha256=f'{label * 100 + clip:064x}',
            split='train test unused' if clip % 3 else 'test validation train',
        )
        for label, clip in numbers
    ]


@pytest.fixture(scope='module')
def large_manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp('large')
    write_manifest(folder / 'manifest.csv', large_data_set(with_groups=True))
    return folder


@pytest.mark.slow
def test_large_manifest_is_read_in_seconds(large_manifest):
    started = time.process_time()
    assert len(read_manifest(large_manifest)) == LARGE
    assert time.process_time() - started < 10


@pytest.mark.slow
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_large_data_set_is_split_in_seconds(protocol):
    clips = large_data_set(with_groups=True)
    started = time.process_time()
    folds = assign_folds(clips, protocol)
    train, test = subsets(clips, folds, 0)
    assert len(same_group(test, train)) <= len(test) and not duplicates(test, train)
    assert protocol == 'own' or subsets(clips, validation_split(clips, folds, 0, protocol), 0).test
    assert time.process_time() - started < 10


@pytest.mark.slow
@pytest.mark.parametrize('protocol', ['group5', 'twothirds', 'videowise'])
def test_large_data_set_without_groups_is_split_in_seconds(protocol):
    clips = large_data_set(with_groups=False)
    started = time.process_time()
    train, test = subsets(clips, assign_folds(clips, protocol), 0)
    assert time.process_time() - started < 20
    assert len(train) + len(test) == LARGE
