"""What a record says of a run, from its config and checkpoint."""

import pytest
from mmengine.config import Config

from tests.experiments import write_config, write_data
from tvn_mmaction.engine import read_config
from tvn_mmaction.engine.record import config_digest, initial_weights, protocol, training_record, views


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('data'))


@pytest.fixture
def config(tmp_path, data_root):
    return read_config(write_config(tmp_path, data_root))


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
def test_views(recognizer, backbone, pipeline, expected):
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


def test_digest_is_of_what_and_not_of_where(config):
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


def test_split_is_stated_only_for_the_lists_of_the_training(config, data_root, tmp_path):
    meta = {'epoch': 2, 'seed': 0, 'training': training_record(config)}
    stated = protocol(config, meta, test_clips=6, classes=3)
    assert (stated.split, stated.test_clips_with_sibling_in_train, stated.batch_size) == ('ucf101like', 0, 2)
    assert stated.train_list_sha256 and stated.test_list_sha256 and stated.initial_weights == 'scratch'

    other = meta | {'training': meta['training'] | {'train_list_sha256': '0' * 64}}
    unknown = protocol(config, other, test_clips=6, classes=3)
    assert unknown.split is None and unknown.test_clips_with_sibling_in_train is None
    foreign = protocol(config, {}, test_clips=6, classes=3)
    assert foreign.split is None and foreign.batch_size is None and foreign.initial_weights is None
