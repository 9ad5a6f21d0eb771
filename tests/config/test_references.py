"""References and variables of configs."""

import pytest
from mmengine.config import Config

from tests.small_experiment import REPOSITORY
from tvn_mmaction.config.loading import read_config, resolve_references
from tvn_mmaction.config.variables import VARIABLES, variables_table
from tvn_mmaction.utils.errors import UserError

CONFIGS = REPOSITORY / 'configs'


def test_reference_takes_the_type_of_its_value():
    config = Config(
        dict(
            clip=dict(frames=8, span=24, sizes=(4, 5)),
            whole='${clip}',
            steps=[dict(scale=('${clip.frames}', '${clip.sizes.1}')), '${clip.stride}'],
            words='frames ${clip.frames}, stride ${clip.stride}',
            chain='${words}',
        )
    )
    referring = resolve_references(config)
    assert config.whole == config.clip and config.whole is not config.clip
    assert config.steps == [{'scale': (8, 5)}, 3]
    assert config.chain == config.words == 'frames 8, stride 3'
    assert referring['clip.sizes.1'] == {'steps.0.scale.1'}


def test_option_below_a_reference_changes_only_that_place():
    """The loaders of all configs refer to `train_pipeline` and `test_pipeline`."""
    config = read_config(CONFIGS / 'tvn1_ucf50.py', options={'test_dataloader.dataset.pipeline.1.num_clips': 16})
    counts = [config[f'{loader}_dataloader'].dataset.pipeline[1].num_clips for loader in ('train', 'val', 'test')]
    assert counts == [8, 8, 16] and config.test_pipeline[1].num_clips == 8


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (
            '${clip.frame}',
            r"step refers to '\$\{clip\.frame\}', .* Correct the name to one of clip\.frames, clip\.size",
        ),
        ('${clib}', 'Correct the name to one of clip'),
        ('${step}', 'step is a reference to itself, by step -> step'),
    ],
)
def test_reference_to_nothing_is_refused(value, message):
    with pytest.raises(UserError, match=message):
        resolve_references(Config(dict(clip=dict(frames=8, size=4), step=value)))


def test_every_variable_has_an_example_that_it_accepts():
    table = variables_table().splitlines()
    assert len(table) == len(VARIABLES) + 2
    for variable, row in zip(VARIABLES, table[2:], strict=True):
        assert row.startswith(f'| `{variable.name}` |') and row.count('|') == 5
        assert variable.sentence.endswith('.')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'broken_clips.max_share': 2}, r'broken_clips\.max_share is 2\. Give a share from 0 to 1'),
        ({'decoder': 3}, r'decoder is 3\. Give one of ExactVideo'),
        ({'clip.frames': True}, r'clip\.frames is True\. Give a whole number above 0'),
        ({'clip.span': 8}, r'clip\.span is 8, and the clip of .* has frames and size and stride only\. Leave'),
        ({'default_hooks.history': None}, r'default_hooks\.history is None, and every record needs it'),
    ],
)
def test_value_of_a_variable_is_checked(options, message):
    with pytest.raises(UserError, match=message):
        read_config(CONFIGS / 'tvn1_ucf50.py', options=options)
