"""`clip.fps`: all pipelines of a config sample in seconds."""

import pytest

from tests.small_experiment import REPOSITORY
from tvn_mmaction.config.loaders import all_datasets
from tvn_mmaction.config.loading import read_config, resolve
from tvn_mmaction.utils.errors import UserError


def types_of(config) -> list[list[str]]:
    return [[step['type'] for step in dataset.pipeline] for dataset in all_datasets(config)]


def test_every_pipeline_samples_in_seconds(config_file):
    plain, config = read_config(config_file), read_config(config_file, options={'clip.fps': 25})
    for before, after in zip(types_of(plain), types_of(config), strict=True):
        place = after.index('SampleFrames')
        assert after[place - 1 : place + 2] == ['ToFrameRate', 'SampleFrames', 'FromFrameRate']
        assert [step for step in after if step not in ('ToFrameRate', 'FromFrameRate')] == before
    resolved = types_of(config)
    resolve(config)
    assert types_of(config) == resolved
    config.clip.fps = None
    resolve(config)
    assert types_of(config) == types_of(plain)


@pytest.mark.parametrize('name', ['tvn1_ucf50_first80', 'tvn1_ucf50', 'recipes/tvn1_ucf50', 'baselines/x3d_s_ucf50'])
def test_configs_of_the_package(name):
    config = read_config(REPOSITORY / f'configs/{name}.py', options={'clip.fps': 30})
    for types in types_of(config):
        assert types.count('ToFrameRate') == types.count('FromFrameRate') == 1


@pytest.mark.parametrize('fps', [0, -1, '25', True])
def test_no_frame_rate(config_file, fps):
    with pytest.raises(UserError, match=r'fps'):
        read_config(config_file, options={'clip.fps': fps})


def test_readers_and_steps_without_a_frame_rate(config_file):
    with pytest.raises(UserError, match=r'clip\.fps is 25, and in .*OpenCVInit does not measure the frame rate'):
        read_config(config_file, options={'clip.fps': 25, 'decoder': 'OpenCV'})
    with pytest.raises(UserError, match=r'clip\.fps is 25, and in .*optical flow is that of neighbouring frames'):
        read_config(REPOSITORY / 'configs/motion/tvn1_flow10_ucf50.py', options={'clip.fps': 25})
