"""Class names of two sources: both lists in an error, and names that a terminal can print."""

import pytest

from tvn_mmaction.datasets.class_names import both_lists, check_same_classes, classes_in
from tvn_mmaction.utils.errors import UserError


def test_lists_have_their_differences_first_and_a_bounded_length():
    many = [f'Action {number:03d}' for number in range(1000)]
    text = both_lists('a.pth', many, 'clips', [*many[1:], 'Walking'])
    assert text.startswith('a.pth has 1000 classes (Action 000, Action 001, ')
    assert ' and clips has 1000 classes (Walking, Action 001, ' in text and len(text) < 250


def test_order_and_number_are_named():
    assert both_lists('a', ['x', 'y'], 'b', ['y', 'x']).endswith('b has 2 classes (y, x), in another order')
    assert both_lists('a', ['x'], 'b', []) == 'a has 1 class (x) and b has 0 classes ()'


def test_other_classes_are_refused_with_the_remedy():
    check_same_classes('a', ('x', 'y'), 'b', ['x', 'y'], 'Use others.')
    with pytest.raises(UserError, match=r'^a has 1 class \(x\) and b has 1 class \(y\)\. Use others\.$'):
        check_same_classes('a', ['x'], 'b', ['y'], 'Use others.')


@pytest.mark.parametrize('meta', [{}, {'dataset_meta': None}, {'dataset_meta': {}}, {'dataset_meta': {'classes': ()}}])
def test_meta_may_have_no_names(meta):
    assert classes_in(meta, 'a.pth') == []


def test_names_with_control_characters_are_refused():
    with pytest.raises(UserError, match=r"a\.pth has a class 'x\\x1b' with control characters.*Rename"):
        classes_in({'dataset_meta': {'classes': ['x\x1b']}}, 'a.pth')
