"""From a checkpoint to labels, for every kind of source."""

import shutil

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope

import tvn_mmaction
from tests.deploy.networks import write_checkpoint
from tests.videos import write_film, write_text, write_video
from tvn_mmaction.apis.train_test import test as run_test
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.video_reader import VideoReader
from tvn_mmaction.deploy.inference_network import without_initialisation
from tvn_mmaction.deploy.recognizer import Prediction
from tvn_mmaction.evaluation.result import Scores
from tvn_mmaction.utils.errors import UserError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('deployed')
    write_checkpoint(folder)
    return folder


@pytest.fixture(scope='module')
def recognizer(folder):
    return tvn_mmaction.load(folder / 'epoch_3.pth')


@pytest.fixture
def video(folder):
    return next((folder / 'videos/Diving').iterdir())


def frames_of(video):
    return np.stack([frame.pixels for frame in VideoReader(video)])


def test_probabilities_are_those_of_the_test(folder, recognizer):
    config = read_config(folder / 'tiny.py', work_dir=str(folder / 'work'))
    run_test(config, folder / 'epoch_3.pth')
    scores = Scores.load(folder / 'work/scores.npz')
    for clip, expected in zip(scores.clips, scores.scores, strict=True):
        prediction = recognizer(folder / 'videos' / clip, topk=3)
        shown = [dict(zip(prediction.labels, prediction.probabilities, strict=True))[name] for name in scores.classes]
        np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_every_kind_of_source_gives_the_same(recognizer, video):
    expected = recognizer(str(video))
    frames = frames_of(video)
    assert isinstance(expected, Prediction) and expected.source == str(video) and len(expected.labels) == 3
    assert sum(expected.probabilities) == pytest.approx(1)
    for clip in (frames, torch.from_numpy(frames), list(frames), iter(frames), (frame for frame in frames)):
        prediction = recognizer(clip)
        assert prediction.labels == expected.labels
        assert prediction.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
    assert recognizer([video, frames, video.parent])[0] == expected
    assert len(recognizer([video, frames, video.parent], topk=1)) == 2 + 4


def test_window_of_frames_equals_a_clip(recognizer, video):
    window = frames_of(video)[[3, 7]]
    expected = recognizer(window)
    probabilities = recognizer.recognize_frames(list(window))
    assert probabilities.shape == (3,) and (recognizer.frames, recognizer.frame_stride) == (2, 10)
    best = recognizer.classes[probabilities.argmax()]
    assert (best, float(probabilities.max())) == (expected.labels[0], pytest.approx(expected.probabilities[0]))
    with pytest.raises(ValueError, match='3 frames: the network takes 2'):
        recognizer.recognize_frames([window[0]] * 3)


def test_network_of_a_frame_rate_sees_every_video_alike(tmp_path):
    write_checkpoint(tmp_path, 'clip["fps"] = 25\n')
    recognizer = tvn_mmaction.load(tmp_path / 'epoch_3.pth')
    assert (recognizer.fps, recognizer.stride_s) == (25, 0.4)
    files = []
    for fps in (25, 50):
        files.append(write_film(tmp_path / f'{fps}.mp4', [(number * 20, 0.4) for number in range(10)], fps=fps))
    slow, fast = (recognizer(file, topk=3) for file in files)
    assert slow.labels == fast.labels
    assert slow.probabilities == pytest.approx(fast.probabilities, abs=0.02)


def test_broken_files_do_not_stop_the_others(recognizer, folder, video, tmp_path):
    with pytest.raises(UserError, match='holds no video'):
        recognizer(tmp_path)
    shutil.copy(video, tmp_path / 'a.avi')
    write_text(tmp_path / 'b.avi')
    shutil.copy(video, tmp_path / 'c.avi')
    files = [*sorted(tmp_path.iterdir()), tmp_path / 'nothing.avi']
    answers = dict(recognizer.recognize_files(files))
    assert list(answers) == files
    assert [isinstance(answer, Prediction) for answer in answers.values()] == [True, False, True, False]
    assert 'b.avi cannot be decoded' in str(answers[files[1]]) and 'no video at' in str(answers[files[3]])
    with pytest.raises(UserError, match=r'b\.avi cannot be decoded'):
        recognizer(tmp_path)


@pytest.mark.parametrize(
    ('source', 'reason'),
    [
        ('nothing.avi', 'no video at nothing.avi'),
        (5, '5 is not a video'),
        (np.zeros((2, 8, 8), np.uint8), r'frames are \(8, 8\) uint8'),
        (np.zeros((2, 8, 8, 3), np.float32), r'frames are \(8, 8, 3\) float32'),
        (np.zeros((0, 8, 8, 3), np.uint8), 'frames are empty'),
        (iter([np.zeros((8, 8, 3), np.uint8), np.zeros((4, 8, 3), np.uint8)]), r'\(4, 8, 3\) uint8, \(8, 8, 3\) uint8'),
    ],
)
def test_invalid_source_is_refused(recognizer, source, reason):
    with pytest.raises(UserError, match=reason):
        recognizer(source)


@pytest.mark.parametrize(
    ('name', 'options', 'reason'),
    [
        ('nothing.pth', {}, 'no network at'),
        ('network.onnx', {'engine': 'torch'}, 'runs with onnxruntime'),
        ('network.xml', {}, 'cannot be read by OpenVINO'),
    ],
)
def test_invalid_network_file_is_refused(tmp_path, name, options, reason):
    for suffix in ('pt', 'pth', 'onnx', 'xml'):
        (tmp_path / f'network.{suffix}').write_text('no network')
    with pytest.raises(UserError, match=reason):
        tvn_mmaction.load(tmp_path / name, **options)


def changed(checkpoint, tmp_path, change):
    loaded = torch.load(checkpoint, weights_only=True)
    change(loaded)
    torch.save(loaded, tmp_path / 'changed.pth')
    return tmp_path / 'changed.pth'


def replace_in_config(loaded, old, new):
    loaded['meta']['cfg'] = loaded['meta']['cfg'].replace(old, new)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda loaded: loaded.pop('state_dict'), 'has no state_dict'),
        (lambda loaded: loaded['meta'].pop('cfg'), 'does not store its config'),
        (lambda loaded: loaded['meta'].update(cfg='import os'), 'not plain data'),
        (lambda loaded: loaded['meta'].update(cfg='a = 1'), 'stores a config without model or test'),
        (lambda loaded: replace_in_config(loaded, 'ExactVideoDecode', 'RawFrameDecode'), 'reads no videos'),
        (lambda loaded: replace_in_config(loaded, 'PackActionInputs', 'RGBDifference'), 'cannot process a video'),
        (lambda loaded: replace_in_config(loaded, "type='Recognizer2D'", "type='os.system'"), "asks for 'os.system'"),
        (lambda loaded: loaded['state_dict'].pop('cls_head.fc_cls.bias'), 'does not fit the model'),
        (lambda loaded: loaded['meta']['dataset_meta'].update(classes=('a', 'b')), 'does not fit the model'),
    ],
)
def test_invalid_checkpoint_is_refused(folder, tmp_path, change, reason):
    with pytest.raises(UserError, match=reason):
        tvn_mmaction.load(changed(folder / 'epoch_3.pth', tmp_path, change))


def test_given_config_goes_before_that_of_the_checkpoint(folder, recognizer, tmp_path, video):
    bare = changed(folder / 'epoch_3.pth', tmp_path, lambda loaded: loaded['meta'].pop('cfg'))
    config = read_config(folder / 'tiny.py')
    assert tvn_mmaction.load(bare, config=config)(video) == recognizer(video)


def test_unusual_names_and_sizes(recognizer, tmp_path):
    video = write_video(tmp_path / 'a clip, with "signs" ü.mp4', frame_count=1, width=64, height=16, codec='mp4v')
    assert recognizer(video).source == str(video)


def test_weights_to_start_from_are_not_loaded_but_may_be_a_required_argument():
    part = dict(type='ResNet3dCSN', depth=50, pretrained='nothing.pth', pretrained2d=False, bottleneck_mode='ir')
    with DefaultScope.overwrite_default_scope('mmaction'):
        network = MODELS.build(without_initialisation(dict(part, init_cfg=dict(type='Pretrained', checkpoint='a.pth'))))
    assert (network.pretrained, network.init_cfg) == (None, None)
