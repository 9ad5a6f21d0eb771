"""In what a checkpoint's training differs from a config is told, with the cure; and nothing where it does not."""

import pytest

from tests.small_experiment import write_config, write_data
from tvn_mmaction.checks.checkpoint_match import differing_training
from tvn_mmaction.config.dataset_building import build_without_videos
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.evaluation.provenance import training_record

FIRST = 'train_dataloader.dataset.pipeline.1'


@pytest.fixture(scope='module')
def read(tmp_path_factory):
    """A function from options to the config."""
    folder = tmp_path_factory.mktemp('trained')
    file = write_config(folder, write_data(folder))
    return lambda **options: read_config(file, options=options)


def meta_of(config) -> dict:
    """Return what a checkpoint would say of a training with a config."""
    train = build_without_videos(config, 'train_dataloader')
    return {'training': training_record(config, train), 'dataset_meta': train.metainfo}


def test_what_decides_neither_clips_nor_input_does_not_differ(read):
    config = read()
    other = read(**{
        'decoder': 'OpenCV', 'train_cfg.max_epochs': 1, 'test_dataloader.dataset.pipeline.3.scale': (48, 48),
    })  # fmt: skip
    assert differing_training(config, meta_of(config)) is None
    assert differing_training(other, meta_of(config)) is None
    assert differing_training(config, meta_of(other)) is None


@pytest.mark.parametrize(
    ('training', 'here', 'told'),
    [
        ({'split.protocol': 'twothirds', 'split.seed': 1}, {},
         'was trained on protocol twothirds, seed 1, and {file} has protocol ucf101like, seed 0: give --cfg-options '
         'split.protocol=twothirds split.seed=1, as the training had it'),
        ({'split.protocol': 'videowise'}, {'split.protocol': 'videowise', 'train_dataloader.dataset.subset': 'fit'},
         'was trained on subset train, and {file} has subset fit: leave --cfg-options train_dataloader.dataset.subset '
         'out'),
        ({'train_dataloader.dataset.pipeline.3.scale': (48, 64), 'train_cfg.max_epochs': 7}, {},
         'was trained on 2 frames of 48 × 64 pixels, and {file} has 2 frames of 32 × 32 pixels: give --cfg-options '
         'train_dataloader.dataset.pipeline.3.scale=[48,64], as the training had it'),
        ({f'{FIRST}.frame_interval': 3}, {f'{FIRST}.frame_interval': 2},
         'was trained on 2 frames of 32 × 32 pixels, 3 apart, and {file} has 2 frames of 32 × 32 pixels, 2 apart: give '
         f'--cfg-options {FIRST}.frame_interval=3, as the training had it'),
        ({'split.protocol': 'twothirds'}, {f'{FIRST}.frame_interval': 2},
         'was trained on protocol twothirds and 2 frames of 32 × 32 pixels, and {file} has protocol ucf101like and 2 '
         'frames of 32 × 32 pixels, 2 apart: give --cfg-options split.protocol=twothirds, as the training had it, and '
         f'leave --cfg-options {FIRST}.frame_interval out'),
    ],
)  # fmt: skip
def test_what_differs_is_told_with_the_cure(read, training, here, told):
    config = read(**here)
    assert differing_training(config, meta_of(read(**training))) == told.format(file=config.filename)


def test_other_clips_of_the_same_split_are_told(read, tmp_path):
    meta = meta_of(read())
    meta['training']['train_list_sha256'] = 'of other clips'
    config = read()
    assert differing_training(config, meta) == (
        f'was trained on other clips, and {config.filename} has those in {config.train_dataloader.dataset.data_root}: '
        'name the config, and with --data-root the clips, that it was trained with'
    )


def test_weights_that_say_nothing_do_not_differ(read):
    assert differing_training(read(), {}) is None
