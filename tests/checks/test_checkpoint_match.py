"""How a checkpoint's training differs from a config: the difference and the remedy, or None."""

import pytest

from tvn_mmaction.checks.checkpoint_match import training_mismatch
from tvn_mmaction.checks.run_plan import RunPlan
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.evaluation.provenance import training_record

FIRST = 'train_dataloader.dataset.pipeline.1'


@pytest.fixture(scope='module')
def read(folder):
    """A function from options to the plan of a run."""
    return lambda **options: RunPlan(read_config(folder / 'tiny.py', options=options))


def meta_of(plan: RunPlan) -> dict:
    """Return the meta that a checkpoint of a training would have."""
    train = plan.dataset('train_dataloader')
    return {'training': training_record(plan.config, train), 'dataset_meta': train.metainfo}


def test_options_that_change_neither_clips_nor_input_do_not_differ(read):
    plan = read()
    other = read(**{
        'decoder': 'OpenCV', 'train_cfg.max_epochs': 1, 'test_dataloader.dataset.pipeline.3.scale': (48, 48),
    })  # fmt: skip
    assert training_mismatch(plan, meta_of(plan)) is None
    assert training_mismatch(other, meta_of(plan)) is None
    assert training_mismatch(plan, meta_of(other)) is None


@pytest.mark.parametrize(
    ('training', 'here', 'message'),
    [
        ({'split.protocol': 'twothirds', 'split.seed': 1}, {},
         'was trained on protocol twothirds, seed 1, and {file} has protocol ucf101like, seed 0. Use --cfg-options '
         'split.protocol=twothirds split.seed=1, as the training did.'),
        ({'split.protocol': 'videowise'}, {'split.protocol': 'videowise', 'train_dataloader.dataset.subset': 'fit'},
         'was trained on subset train, and {file} has subset fit. Leave --cfg-options train_dataloader.dataset.subset '
         'out.'),
        ({'train_dataloader.dataset.pipeline.3.scale': (48, 64), 'train_cfg.max_epochs': 7}, {},
         'was trained on 2 frames of 48 × 64 pixels, and {file} has 2 frames of 32 × 32 pixels. Use --cfg-options '
         'train_dataloader.dataset.pipeline.3.scale=[48,64], as the training did.'),
        ({f'{FIRST}.frame_interval': 3}, {f'{FIRST}.frame_interval': 2},
         'was trained on 2 frames of 32 × 32 pixels, 3 apart, and {file} has 2 frames of 32 × 32 pixels, 2 apart. Use '
         f'--cfg-options {FIRST}.frame_interval=3, as the training did.'),
        ({'split.protocol': 'twothirds'}, {f'{FIRST}.frame_interval': 2},
         'was trained on protocol twothirds and 2 frames of 32 × 32 pixels, and {file} has protocol ucf101like and 2 '
         'frames of 32 × 32 pixels, 2 apart. Use --cfg-options split.protocol=twothirds, as the training did, and '
         f'leave --cfg-options {FIRST}.frame_interval out.'),
    ],
)  # fmt: skip
def test_difference_comes_with_its_remedy(read, training, here, message):
    plan = read(**here)
    assert training_mismatch(plan, meta_of(read(**training))) == message.format(file=plan.config.filename)


def test_other_clips_of_the_same_split_differ(read):
    plan, meta = read(), meta_of(read())
    meta['training']['train_list_sha256'] = 'of other clips'
    data_root = plan.config.train_dataloader.dataset.data_root
    assert training_mismatch(plan, meta) == (
        f'was trained on other clips, and {plan.config.filename} has those in {data_root}. Name the config, and with '
        '--data-root the clips, that it was trained with.'
    )


def test_checkpoint_without_records_does_not_differ(read):
    assert training_mismatch(read(), {}) is None
