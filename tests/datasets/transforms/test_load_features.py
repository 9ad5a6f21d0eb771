"""Stored features as pipeline input: length, packing, checks against a config."""

from pathlib import Path

import numpy as np
import pytest
from mmaction.datasets import SampleFrames
from mmaction.registry import DATASETS
from mmengine.registry import DefaultScope

from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.datasets.transforms.load_features import RECORD_NAME, FeatureRecord, LoadFeatures, file_of
from tvn_mmaction.utils.errors import UserError

LAYER = 'backbone.layer4'
CHANNELS = 6


@pytest.fixture
def folder(tmp_path, data_root) -> Path:
    """Features of all clips, of as many steps as the clip's group."""
    clips = read_manifest(data_root)
    record = FeatureRecord(
        network='net', checkpoint='epoch_1.pth', checkpoint_sha256='1' * 64, layer=LAYER, steps=9, channels=CHANNELS,
        test_pipeline=[], clips=len(clips), parameters=7, macs=11, trained={'epoch': 1, 'seed': 0, 'training': {}},
    )  # fmt: skip
    record.save(tmp_path)
    for number, clip in enumerate(clips):
        np.save(file_of(tmp_path, clip.sha256), number + features(int(clip.group)))
    return tmp_path


def features(steps: int) -> np.ndarray:
    return np.arange(steps, dtype=np.float32)[:, None] * np.ones(CHANNELS, np.float32)


def dataset(data_root: Path, folder: Path, **arguments):
    load = dict(type='LoadFeatures', folder=str(folder), network='net', layer=LAYER, **arguments)
    with DefaultScope.overwrite_default_scope('mmaction'):
        return DATASETS.build(
            dict(type='UCF50Dataset', data_root=str(data_root), protocol='ucf101like',
                 pipeline=[load, dict(type='PackActionInputs')])
        )  # fmt: skip


@pytest.mark.parametrize('length', [1, 4, 9, 12])
def test_clips_are_reduced_to_middle_steps_or_padded_with_nan(data_root, folder, length):
    clips = dataset(data_root, folder, length=length)
    numbers = {clip.sha256: number for number, clip in enumerate(read_manifest(data_root))}
    for index in range(len(clips)):
        info, sample = clips.get_data_info(index), clips[index]
        assert sample['data_samples'].gt_label.item() == info['label']
        found, own = sample['inputs'].numpy(), numbers[info['sha256']] + features(int(info['group']))
        assert found.shape == (1, length, CHANNELS) and found.dtype == np.float32
        there = found[0][~np.isnan(found[0, :, 0])]
        assert len(there) == min(length, len(own))
        if length < len(own):  # as MMAction2 takes frames
            sampling = SampleFrames(clip_len=1, num_clips=length, test_mode=True)
            own = own[sampling({'total_frames': len(own), 'start_index': 0})['frame_inds']]
        np.testing.assert_array_equal(there, own)
        assert np.isnan(found[0, len(there) :]).all()


@pytest.mark.parametrize(
    ('spoil', 'arguments', 'message'),
    [
        (lambda folder: None, {'network': 'other'}, 'features of network net, and the config asks for other'),
        (lambda folder: None, {'layer': 'backbone'}, f'features of layer {LAYER}, and the config asks for backbone'),
        (lambda folder: None, {'checkpoint_sha256': '2' * 64}, 'features of checkpoint_sha256 1+, and'),
        (lambda folder: None, {'test_pipeline_sha256': '3' * 64}, 'features of test_pipeline_sha256 .*, and'),
        (lambda folder: next(folder.glob('*.npy')).unlink(), {}, 'the features of 11 of 12 clips. Run tools/extract'),
        (lambda folder: Path(folder, RECORD_NAME).unlink(), {}, r'no feature record at .*features\.json\. Create'),
        (lambda folder: Path(folder, RECORD_NAME).write_text('{'), {}, r'features\.json is not a valid feature record'),
    ],
)
def test_unsuitable_features_are_refused(folder, spoil, arguments, message):
    spoil(folder)
    with pytest.raises(UserError, match=message):
        LoadFeatures(**{'folder': str(folder), 'network': 'net', 'layer': LAYER, **arguments})


def test_missing_features_of_a_clip(data_root, folder):
    clips = dataset(data_root, folder)
    info = clips.get_data_info(0)
    file_of(folder, info['sha256']).write_bytes(b'half')
    with pytest.raises(UserError, match='holds no features'):
        clips[0]
    file_of(folder, info['sha256']).unlink()
    with pytest.raises(UserError, match=rf'has no features of .*{Path(info["filename"]).name}. Run tools/extract'):
        clips[0]
    with pytest.raises(UserError, match='which only UCF50Dataset has'):
        clips.pipeline({'filename': 'a.avi', 'label': 0})
