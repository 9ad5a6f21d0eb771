"""Pretext tasks: labels match the frames, and no test clip is used."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, TRANSFORMS

from tests.small_experiment import write_config
from tests.videos import write_video
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.fault_tolerant_loader import FaultTolerantDataset, SampleKey
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.pretext import ArrowOfTime, PlaybackRate, SamplePart
from tvn_mmaction.utils.errors import UserError

pytestmark = pytest.mark.usefixtures('mmaction_scope')
RATES = [1, 2, 4]
FRAMES = 41  # of a video, of which each is brighter than the one before
REST = [dict(type='DecordDecode'), dict(type='FormatShape', input_format='NCHW'), dict(type='PackActionInputs')]


@pytest.fixture(scope='module')
def data_root(tmp_path_factory) -> Path:
    """Two classes of five groups; protocol ucf101like tests 01 and 02."""
    folder = tmp_path_factory.mktemp('pretext')
    for name in ('Biking', 'Diving'):
        for group in (1, 2, 8, 9, 10, 11, 12):
            write_video(folder / f'videos/{name}/v_{name}_g{group:02d}_c01.avi', FRAMES)
    build_data_root(folder / 'videos', folder / 'lists', 'ucf101like')
    return folder / 'lists'


def build_dataset(kind: str, data_root: Path, pipeline: list[dict], **kwargs):
    return DATASETS.build(dict(type=kind, data_root=str(data_root), protocol='ucf101like', pipeline=pipeline, **kwargs))


def groups(dataset) -> set[tuple[str, str]]:
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return {(Path(info['filename']).parent.name, info['group']) for info in infos}


def places(inputs: torch.Tensor) -> np.ndarray:
    """Return which of a video's frames these are, by their brightness."""
    return inputs.float().mean((1, 2, 3)).numpy() / 255 * (FRAMES - 1)


@pytest.mark.parametrize('test_mode', [False, True])
def test_label_is_the_playback_rate(data_root, test_mode):
    pipeline = [dict(type='DecordInit'), dict(type='PlaybackRate', clip_len=4, test_mode=test_mode), *REST]
    dataset = FaultTolerantDataset(build_dataset('PretextDataset', data_root, pipeline, answers=RATES), test_mode, 60)
    assert dataset.metainfo['classes'] == ('1', '2', '4') and len(dataset) == 10 * len(RATES)
    labels, starts = [], set()
    for index in range(6):
        for epoch in range(3):
            sample = dataset[SampleKey(0, epoch, index)]
            label = sample['data_samples'].gt_label.item()
            shown = places(sample['inputs'])
            assert np.diff(shown) == pytest.approx(RATES[label], abs=0.6)
            starts.add(round(shown[0]))
        labels.append(label)
    assert labels == [0, 1, 2] * 2
    assert (len(starts) == len(RATES)) == test_mode  # a test has the middle clip of each rate, and no other


def test_label_is_the_direction_of_time(data_root):
    sampling = dict(type='SampleFrames', clip_len=1, num_clips=4, test_mode=True)
    pipeline = [dict(type='DecordInit'), sampling, dict(type='ArrowOfTime'), *REST]
    dataset = build_dataset('PretextDataset', data_root, pipeline, answers=('forwards', 'backwards'))
    forwards, backwards = dataset[0], dataset[1]
    assert [sample['data_samples'].gt_label.item() for sample in (forwards, backwards)] == [0, 1]
    assert (np.diff(places(forwards['inputs'])) > 0).all()
    assert torch.equal(forwards['inputs'].flip(0), backwards['inputs'])


@pytest.mark.parametrize(
    ('kind', 'more'), [('PretextDataset', dict(answers=RATES)), ('ClipViewsDataset', {})], ids=['pretext', 'views']
)
@pytest.mark.parametrize(('subset', 'measured'), [('train', ['test']), ('fit', ['test', 'validation'])])
def test_pretraining_has_no_test_group(data_root, kind, more, subset, measured):
    seen = groups(build_dataset(kind, data_root, [], subset=subset, **more))
    assert seen == groups(build_dataset('UCF50Dataset', data_root, [], subset=subset))
    for other in measured:
        unseen = groups(build_dataset('UCF50Dataset', data_root, [], subset=other))
        assert seen and unseen and not seen & unseen


def test_views_of_a_part_are_of_that_part_and_differ(data_root):
    pipeline = [dict(type='DecordInit'), dict(type='SamplePart', clip_len=1, num_clips=3), *REST]
    dataset = FaultTolerantDataset(build_dataset('ClipViewsDataset', data_root, pipeline, parts=2, views=2), False, 60)
    sample = dataset[SampleKey(0, 0, 3)]
    assert sample['data_samples'].metainfo['clip_views'] == (2, 2)
    shown = places(sample['inputs']).round().reshape(2, 2, 3)
    assert shown[0].max() < FRAMES // 2 <= shown[1].min()
    assert not np.array_equal(shown[:, 0], shown[:, 1])
    assert (np.diff(shown) > 0).all()
    assert torch.equal(dataset[SampleKey(0, 0, 3)]['inputs'], sample['inputs'])
    assert not torch.equal(dataset[SampleKey(0, 1, 3)]['inputs'], sample['inputs'])


@pytest.mark.parametrize('total', [1, 2, 3, 9, 10])
def test_parts_are_parts_of_any_video(total):
    drawn = []
    for part in range(3):
        for _ in range(20):
            made = SamplePart(clip_len=2, num_clips=2)(dict(total_frames=total, start_index=5, part=(part, 3)))
            assert (made['total_frames'], made['start_index']) == (total, 5)
            drawn.append((part, made['frame_inds'] - 5))
    for part, places_ in drawn:
        assert places_.min() >= 0 and places_.max() < total
        if total >= 3:
            assert total * part // 3 <= places_.min() and places_.max() < total * (part + 1) // 3


def test_stock_sampling_without_an_answer():
    results = dict(total_frames=30, start_index=0)
    stock = TRANSFORMS.build(dict(type='SampleFrames', clip_len=4, test_mode=True))(dict(results))['frame_inds']
    for transform in (PlaybackRate(4, test_mode=True), SamplePart(4, test_mode=True)):
        assert np.array_equal(transform(dict(results))['frame_inds'], stock)
    assert np.array_equal(ArrowOfTime()({'frame_inds': stock})['frame_inds'], stock)


@pytest.mark.parametrize(
    ('kind', 'more', 'message'),
    [
        ('PretextDataset', dict(answers=[4]), r'answers are \[4\], too few for a pretext task\. Give two or more'),
        ('ClipViewsDataset', dict(parts=1, views=1), 'parts is 1 and views is 1: a clip needs another one'),
    ],
)
def test_too_few_answers_or_views(data_root, kind, more, message):
    with pytest.raises(UserError, match=message):
        build_dataset(kind, data_root, [], **more)


def test_classifier_has_as_many_classes_as_answers(tmp_path, data_root):
    more = "train_dataloader['dataset'].update(type='PretextDataset', answers=(1, 2, 3, 4, 5, 6, 7))\n"
    assert read_config(write_config(tmp_path, data_root, more)).model.cls_head.num_classes == 7
