"""Networks of frame differences are deployed like all others; networks of optical flow are refused."""

import pytest

from tests.deploy.networks import write_checkpoint
from tvn_mmaction.apis.train_test import test as run_test
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.deploy.export.model_export import export, labelled_clips
from tvn_mmaction.deploy.inference_network import load_network
from tvn_mmaction.deploy.recognizer import load
from tvn_mmaction.evaluation.result import Scores
from tvn_mmaction.utils.errors import UserError

DIFFERENCES = """
sampling = dict(type='SampleFrames', clip_len=2, frame_interval=1, num_clips=2)
common_steps = [*common_steps[:2], dict(type='RGBDifference'), *common_steps[2:]]
model['data_preprocessor'] = dict(mean=[128, 128, 128])
train_dataloader['dataset']['pipeline'] = [dict(type='DecordInit'), sampling, *common_steps]
val_dataloader['dataset']['pipeline'] = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *common_steps]
"""
SIX_CHANNELS = """
model['backbone']['in_channels'] = 6
model['data_preprocessor'] = dict(mean=[100, 100, 100, 128, 128, 128], std=[58.395, 57.12, 57.375, 30, 30, 30])
"""
FRAMES_AND_DIFFERENCES = DIFFERENCES.replace('RGBDiff', 'RGBWithDiff') + SIX_CHANNELS
FLOW = """
decoder = 'FrameStore'
common_steps = [dict(type='FrameStoreDecode'), *common_steps[1:]]
model['backbone']['in_channels'] = 2
model['data_preprocessor'] = dict(mean=[128], std=[128])
for loader in (train_dataloader, val_dataloader):
    loader['dataset']['pipeline'] = [dict(type='FrameStoreInit', flow=True), sampling, *common_steps]
del loader
"""


def write_experiment(folder, more):
    """Return the config and the checkpoint of `write_checkpoint`."""
    config_file, checkpoint = write_checkpoint(folder, more)
    return read_config(config_file, work_dir=str(folder / 'work')), checkpoint


@pytest.mark.parametrize(('more', 'channels'), [(DIFFERENCES, 3), (FRAMES_AND_DIFFERENCES, 6)], ids=['3', '6'])
@pytest.mark.parametrize('exported', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_networks_of_differences_are_deployed(exported, more, channels, tmp_path):
    """Videos get the scores of the test, also with another engine. In live windows, pairs are neighbouring frames."""
    config, file = write_experiment(tmp_path, more)
    assert run_test(config, file).protocol.views == 1
    if exported:
        network, metadata = load_network(file, config)
        file = tmp_path / 'network.onnx'
        export(network, metadata, file, 'fp32', labelled_clips(config, 'test_dataloader'))
    scores = Scores.load(tmp_path / 'work/scores.npz')
    recognizer = load(file)
    assert recognizer.metadata.input_shape == [2, channels, 32, 32]
    for clip, expected in zip(scores.clips, scores.scores, strict=True):
        prediction = recognizer(tmp_path / 'videos' / clip)
        shown = dict(zip(prediction.labels, prediction.probabilities, strict=True))
        assert [shown[name] for name in scores.classes] == pytest.approx(expected.tolist(), abs=1e-4)
    assert (recognizer.frames, recognizer.frame_stride) == (4, 1)


def test_networks_of_flow_are_refused(tmp_path):
    config, checkpoint = write_experiment(tmp_path, FLOW)
    message = 'the network sees optical flow, which a frame store has of known clips, and no video. Use a network'
    for deploy in (lambda: load_network(checkpoint, config), lambda: load(checkpoint)):
        with pytest.raises(UserError, match=message):
            deploy()
