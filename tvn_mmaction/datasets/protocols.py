"""Protocols: the split of clips into training and test, determined by name, fold and seed.

Each protocol assigns every clip the fold that tests it. A fold depends on names (class, file and group) and never on
the order of the listing, the folder, the machine or the Python version: random choices are made by hashing. Only the
protocol `own`, the split that came with the clips, has folds that may overlap: it assigns a clip a role for each fold.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..utils.errors import UserError
from .manifest import Clip

NEVER_TESTED, DROPPED = -1, -2  # instead of a fold: always in training; neither in training nor in test
VALIDATION_FOLDS = 5  # of whole groups, into which the training clips are divided
ONE_GROUP = 1 << 32  # outweighs all clips in balancing folds
OWN = 'own'
UCF101_TEST_GROUPS = tuple(f'{number:02d}' for number in range(1, 8))
LAST_GROUPS = tuple(f'{number:02d}' for number in range(19, 26))


# Fold of a clip; or for each fold its role: train, validation, test or unused.
Assigned = int | tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """Rule by which a protocol divides clips into training and test.

    `assign` takes clips and a seed and returns the fold of each clip, `NEVER_TESTED` or `DROPPED`, or for each clip its
    roles by fold.
    """

    description: str
    by_group: bool  # tests whole groups: no source video is in both training and test
    seeded: bool  # whether the seed changes the folds
    assign: Callable[[Sequence[Clip], int], list[Assigned]]


class Subsets(NamedTuple):
    """The usable clips of one fold, in the order of the manifest."""

    train: list[Clip]
    test: list[Clip]


def assign_folds(clips: Sequence[Clip], protocol: str, seed: int = 0) -> list[Assigned]:
    """Return for each clip the fold that tests it, from 0; `NEVER_TESTED` or `DROPPED` for the others.

    Of the protocol `own`, return for each clip its roles by fold.

    Unusable clips count as well, so that a file that one machine cannot read changes the fold of no other clip.

    Raises:
        UserError: The protocol is unknown, or unsuitable for the groups of the clips.
    """
    if protocol not in PROTOCOLS:
        raise UserError(f'unknown protocol {protocol}. Known are {", ".join(PROTOCOLS)}.')
    folds = PROTOCOLS[protocol].assign(clips, seed)
    if not fold_count(folds):
        raise UserError(
            f'protocol {protocol} tests none of the {len(clips)} clips ({PROTOCOLS[protocol].description}). '
            'Use another one, such as group5, or tools/build_ucf50.py --group-pattern if file names contain the group.'
        )
    return folds


def fold_count(folds: Sequence[Assigned]) -> int:
    """Return the number of folds of the result of `assign_folds`."""
    if folds and isinstance(folds[0], tuple):
        return len(folds[0])
    return max([*folds, NEVER_TESTED]) + 1


def _role(assigned: Assigned, fold: int) -> str:
    """Return the role of a clip in a fold: train, validation, test or unused."""
    if isinstance(assigned, tuple):
        return assigned[fold]
    return 'unused' if assigned == DROPPED else 'test' if assigned == fold else 'train'


def subsets(clips: Sequence[Clip], folds: Sequence[Assigned], fold: int) -> Subsets:
    """Divide clips into `(train, test)` for one fold of the result of `assign_folds`.

    Raises:
        UserError: The fold is out of range, has no test clip, or no training clip of a tested class.
    """
    count = fold_count(folds)
    if not 0 <= fold < count:
        raise UserError(f'there is no fold {fold} among the {count} of the protocol. Use one from 0 to {count - 1}.')
    by_role = {'train': [], 'validation': [], 'test': [], 'unused': []}
    for clip, assigned in zip(clips, folds, strict=True):
        if not clip.problem:
            by_role[_role(assigned, fold)].append(clip)
    train, test = by_role['train'], by_role['test']
    if not test:
        raise UserError(f'fold {fold} has no test clip that can be read. Use another fold or protocol.')
    for class_name in sorted({clip.class_name for clip in test} - {clip.class_name for clip in train}):
        raise UserError(
            f'fold {fold} tests on all readable clips of class {class_name} and leaves none to train on. Add clips of '
            'it, of another group if whole groups are tested, or remove the class.'
        )
    return Subsets(train, test)


def has_own_validation(folds: Sequence[Assigned], fold: int) -> bool:
    """Return whether the fold of the user's own split has validation clips."""
    return any(_role(assigned, fold) == 'validation' for assigned in folds)


def validation_split(
    clips: Sequence[Clip], folds: Sequence[Assigned], fold: int, protocol: str, seed: int = 0
) -> list[int]:
    """Return the validation folds of the training clips of a fold; its test clips are `DROPPED`.

    There are five folds of whole groups or, if the protocol does not keep groups together, one fold of 15 % of the
    clips of each class. Choices made on them leave the test split untouched. The user's own split has its validation
    clips as the one fold, if there are any, and else folds of whole groups if there are enough.

    Raises:
        UserError: There are too few groups.
    """
    if has_own_validation(folds, fold):
        held_by_role = {'train': NEVER_TESTED, 'validation': 0}
        return [held_by_role.get(_role(assigned, fold), DROPPED) for assigned in folds]
    places = [place for place, assigned in enumerate(folds) if _role(assigned, fold) == 'train']
    groups = {clips[place].group for place in places if clips[place].group != clips[place].file_name}
    by_group = len(groups) >= VALIDATION_FOLDS if protocol == OWN else PROTOCOLS[protocol].by_group
    divide = _balanced_groups(VALIDATION_FOLDS) if by_group else _videowise
    held = [DROPPED] * len(clips)
    for place, part in zip(places, divide([clips[place] for place in places], seed), strict=True):
        held[place] = part
    return held


def dropped_clips(clips: Sequence[Clip], folds: Sequence[Assigned]) -> list[Clip]:
    """Return the usable clips in no fold."""
    return [
        clip
        for clip, assigned in zip(clips, folds, strict=True)
        if not clip.problem and (assigned == DROPPED or (isinstance(assigned, tuple) and set(assigned) == {'unused'}))
    ]


def _own(clips: Sequence[Clip], seed: int) -> list[tuple[str, ...]]:
    """Return the roles of the split that came with the clips."""
    roles = [tuple(clip.split.split()) for clip in clips]
    if len(set(map(len, roles))) > 1:
        raise UserError(
            'protocol own: the clips of the manifest have splits of different lengths. Run tools/build_ucf50.py again.'
        )
    if roles == [()] * len(clips):
        raise UserError(
            'protocol own: the clips came without a split. Use another protocol, or build the data root from folders '
            'train/ and test/, or from lists with a split.'
        )
    return roles


def _draw(*names: object) -> bytes:
    """Return bytes for a random choice, equal on every machine, unlike those of random generators."""
    return hashlib.sha256('/'.join(map(str, names)).encode()).digest()


def _videowise(clips: Sequence[Clip], seed: int) -> list[int]:
    """Test 15 % of each class, at least one clip and never all."""
    folds = [NEVER_TESTED] * len(clips)
    for members in _shuffled_classes(clips, seed).values():
        for index in members[: min(max(round(0.15 * len(members)), 1), len(members) - 1)]:
            folds[index] = 0
    return folds


def _videowise_fifths(clips: Sequence[Clip], seed: int) -> list[int]:
    folds = [NEVER_TESTED] * len(clips)
    for class_name, members in _shuffled_classes(clips, seed).items():
        start = _draw(seed, class_name)[0]  # else fold 0 would get the remainder of every class
        for place, index in enumerate(members, start):
            folds[index] = place % 5
    return folds


def _shuffled_classes(clips: Sequence[Clip], seed: int) -> dict[str, list[int]]:
    """Return the indices of the clips by class, shuffled by the seed."""
    drawn = defaultdict(list)
    for index, clip in enumerate(clips):
        drawn[clip.class_name].append((_draw(seed, *clip.sort_key), index))
    return {class_name: [index for _, index in sorted(members)] for class_name, members in drawn.items()}


def _balanced_groups(count: int) -> Callable[[Sequence[Clip], int], list[int]]:
    """Return a rule that distributes whole groups, largest first, over folds that are balanced in groups and clips.

    Groups of the same name stay together across classes, in case a group stands for a person or a place.
    """

    def assign(clips: Sequence[Clip], seed: int) -> list[int]:
        members = defaultdict(list)  # group -> (class, clips)
        for (group, class_name), size in Counter((clip.group, clip.class_name) for clip in clips).items():
            members[group].append((class_name, size))
        if len(members) < count:
            raise UserError(
                f'{count} folds of whole groups need {count} groups or more, and the clips have {len(members)}. '
                'Use another protocol, or tools/build_ucf50.py --group-pattern if file names contain the group.'
            )
        sizes = {group: sum(size for _, size in classes) for group, classes in members.items()}
        largest_first = sorted((-size, _draw(seed, group), group) for group, size in sizes.items())
        fullness = defaultdict(lambda: [0] * count)  # class -> for each fold, groups of it and then clips of it
        totals = [0] * count  # groups of any class
        fold_of = {}
        for _, drawn, group in largest_first:
            start = -drawn[0] % count  # else the remainder would always be in the first folds
            same = [sum(folds) for folds in zip(*(fullness[name] for name, _ in members[group]), strict=True)]
            emptiest = min((*range(start, count), *range(start)), key=lambda fold: (same[fold], totals[fold]))
            fold_of[group] = emptiest
            totals[emptiest] += 1
            for name, size in members[group]:
                fullness[name][emptiest] += ONE_GROUP + size
        return [fold_of[clip.group] for clip in clips]

    return assign


def _leave_one_group_out(clips: Sequence[Clip], seed: int) -> list[int]:
    """Test each group that all classes have; drop clips of other groups."""
    classes_of = defaultdict(set)
    for clip in clips:
        classes_of[clip.group].add(clip.class_name)
    class_count = len({clip.class_name for clip in clips})
    common = sorted(group for group, classes in classes_of.items() if len(classes) == class_count)
    fold_of = {group: fold for fold, group in enumerate(common)} if len(common) > 1 else {}
    return [fold_of.get(clip.group, DROPPED) for clip in clips]


def _named_groups(tested: Sequence[str]) -> Callable[[Sequence[Clip], int], list[int]]:
    """Return a rule that tests the groups of these names."""
    return lambda clips, seed: [0 if clip.group in tested else NEVER_TESTED for clip in clips]


PROTOCOLS = {
    'videowise': Rule('15 % of the clips of each class are the test', False, True, _videowise),
    'videowise5': Rule('5 folds of clips, whatever their groups', False, True, _videowise_fifths),
    'ucf101like': Rule("groups 01 to 07 are the test, as in UCF101's split 1", True, False,
                       _named_groups(UCF101_TEST_GROUPS)),
    'groups19to25': Rule('groups 19 to 25 are the test', True, False, _named_groups(LAST_GROUPS)),
    'group5': Rule('5 folds of whole groups', True, True, _balanced_groups(5)),
    'twothirds': Rule('3 folds of whole groups: two thirds train, one third test', True, True, _balanced_groups(3)),
    'logo': Rule('leave one group out: a fold for each group that all classes have', True, False,
                     _leave_one_group_out),
    OWN: Rule('the split that came with the clips', False, False, _own),
}  # fmt: skip
