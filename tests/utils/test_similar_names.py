"""Suggestions for unknown names."""

import pytest

from tvn_mmaction.utils.similar_names import similar_names

KNOWN = [
    'clip.size',
    'train_dataloader.batch_size',
    'test_dataloader.batch_size',
    'optim_wrapper.optimizer.lr',
    'split',
]


@pytest.mark.parametrize(
    ('name', 'similar'),
    [
        ('clips.size', ['clip.size']),
        ('learning_rate', ['optim_wrapper.optimizer.lr']),
        ('batchsize', ['train_dataloader.batch_size', 'test_dataloader.batch_size']),
        ('bs', ['train_dataloader.batch_size', 'test_dataloader.batch_size']),
        ('spilt', ['split']),
        ('xyzzy', []),
        ('', []),
    ],
)
def test_similar_names_are_whole_names_last_parts_or_initials(name, similar):
    assert similar_names(name, KNOWN) == similar
    assert similar_names(name, KNOWN, count=1) == similar[:1]
    assert similar_names(name, []) == []
