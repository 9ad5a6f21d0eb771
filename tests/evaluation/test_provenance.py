"""Protocol, initial weights and digest of a run, from its config and checkpoint."""

import shutil

import pytest
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tests.small_experiment import write_config
from tests.videos import write_video
from tvn_mmaction.config.loaders import build_without_videos
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.evaluation.provenance import (
    config_digest,
    initial_weights,
    protocol,
    training_record,
    unknown_split,
    views,
)


def config_of(recognizer, backbone, pipeline):
    return Config(
        dict(
            model=dict(type=recognizer, backbone=backbone),
            test_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dict(pipeline=pipeline))),
        )
    )


@pytest.mark.parametrize(
    ('recognizer', 'backbone', 'pipeline', 'expected'),
    [
        ('Recognizer2D', {}, [dict(type='SampleFrames', clip_len=1, num_clips=8)], 1),
        ('Recognizer2D', {'num_segments': 8}, [dict(type='SampleFrames', clip_len=1, num_clips=8)], 1),
        ('Recognizer2D', {'num_segments': 2}, [dict(type='SampleFrames', clip_len=1, num_clips=8)], 4),
        ('Recognizer2D', {'num_segments': 8}, [dict(type='SampleFirstFrames', clip_len=8)], 1),
        ('Recognizer3D', {}, [dict(type='SampleFrames', clip_len=16, num_clips=10), dict(type='ThreeCrop')], 30),
        ('Recognizer3D', {}, [dict(type='SampleFrames', clip_len=16), dict(type='TenCrop')], 10),
        ('Recognizer2D', {}, [dict(type='SampleFrames', clip_len=1, num_clips=8, twice_sample=True)], 2),
    ],
)
def test_views_are_clips_times_crops(recognizer, backbone, pipeline, expected):
    assert views(config_of(recognizer, backbone, pipeline)) == expected


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, 'scratch'),
        ({'load_from': 'a.pth'}, 'a.pth'),
        ({'load_from': 'a.pth', 'resume': True}, 'scratch'),
        ({'model.backbone.pretrained': 'b.pth'}, 'b.pth'),
        ({'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='c.pth')}, 'c.pth'),
        ({'model.init_cfg': [dict(type='Pretrained', checkpoint='d.pth')], 'load_from': 'a.pth'}, 'a.pth, d.pth'),
        ({'model.backbone.init_cfg': [dict(type='Kaiming', layer='Conv2d')]}, 'scratch'),
    ],
)
def test_initial_weights(config, options, expected):
    config.merge_from_dict(options)
    assert initial_weights(config) == expected


def test_config_digest_is_independent_of_folders(config):
    before = config_digest(config)
    config.work_dir = 'elsewhere'
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = 'elsewhere'
    config.merge_from_dict({'resume': True, 'load_from': 'epoch_1.pth'})
    assert config_digest(config) == before
    config.resume = False
    assert config_digest(config) != before  # other initial weights
    config.load_from = None
    assert config_digest(config) == before
    config.optim_wrapper.optimizer.lr = 1
    assert config_digest(config) != before


def test_clips_are_listed_in_another_default_scope(config):
    with DefaultScope.overwrite_default_scope('mmengine'):  # as left by MMEngine's own Runner
        assert len(build_without_videos(config, 'test_dataloader')) == 6


def built(config, loader, **changes):
    with DefaultScope.overwrite_default_scope('mmaction'):
        return DATASETS.build({**config[loader].dataset, **changes})


def test_split_is_known_only_for_clips_of_the_training(config):
    train, test = built(config, 'train_dataloader'), built(config, 'test_dataloader')
    meta = {'epoch': 2, 'seed': 0, 'training': training_record(config, train)}
    stated = protocol(config, meta, train, test, classes=3)
    assert (stated.split, stated.split_fold, stated.split_seed) == ('ucf101like', 0, None)
    assert (stated.train_clips, stated.test_clips, stated.classes, stated.batch_size) == (6, 6, 3, 2)
    assert stated.test_clips_with_sibling_in_train == stated.test_clips_with_copy_in_train == 0
    assert stated.train_list_sha256 and stated.test_list_sha256 and stated.initial_weights == 'scratch'

    other = built(config, 'train_dataloader', fold=0, seed=0, protocol='videowise')
    for other_train, other_meta, reason in (
        (train, {}, 'does not record the clips'),
        (None, meta, 'train_dataloader are not available'),
        (other, meta, 'not the lists that the checkpoint was trained on'),
    ):
        unknown = protocol(config, other_meta, other_train, test, classes=3)
        assert reason in unknown_split(config, unknown, other_train)
        assert unknown.split is unknown.train_clips is unknown.test_clips_with_sibling_in_train is None
    foreign = protocol(config, {}, train, test, classes=3)
    assert foreign.batch_size is None and foreign.initial_weights is None


def test_leakage_is_counted(tmp_path):
    """Two groups of two clips each, one of which is the same file in both."""
    for name, frames in (('A', 9), ('B', 20)):
        for group in (1, 2):
            for clip in (1, 2):
                write_video(
                    tmp_path / f'videos/{name}/v_{name}_g{group:02d}_c{clip:02d}.avi', frames + 2 * group + clip
                )
    shutil.copy(tmp_path / 'videos/A/v_A_g01_c01.avi', tmp_path / 'videos/A/v_A_g02_c01.avi')
    build_data_root(tmp_path / 'videos', tmp_path / 'lists')
    file, found = write_config(tmp_path, tmp_path / 'lists'), {}
    for split in ('videowise', 'logo'):
        config = read_config(file, options={'split.protocol': split})
        train, test = built(config, 'train_dataloader'), built(config, 'test_dataloader')
        found[split] = protocol(config, {'training': training_record(config, train)}, train, test, classes=2)
    single, whole = found.values()
    assert (single.split, single.split_seed, single.test_clips) == ('videowise', 0, 2)
    assert single.test_clips_with_sibling_in_train == 2
    assert (whole.test_clips_with_sibling_in_train, whole.test_clips_with_copy_in_train) == (0, 1)


@pytest.mark.parametrize(('trained_on', 'copies'), [('fit', 0), ('train', 3)])
def test_protocol_of_validation_counts_copies_in_train(tmp_path, data_root, trained_on, copies):
    options = {
        'split.protocol': 'videowise',
        'train_dataloader.dataset.subset': trained_on,
        'test_dataloader.dataset.subset': 'validation',
    }
    config = read_config(write_config(tmp_path, data_root), options=options)
    train, validation = (build_without_videos(config, f'{side}_dataloader') for side in ('train', 'test'))
    found = protocol(config, {'training': training_record(config, train)}, train, validation, classes=3)
    assert (found.subset, found.test_clips, found.test_clips_with_copy_in_train) == ('validation', 3, copies)
