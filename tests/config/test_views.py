"""The views of a test: what the pipeline samples and crops, what that costs, and what has none."""

import numpy as np
import pytest

from tvn_mmaction.apis import train_test
from tvn_mmaction.config.loaders import dataset_of
from tvn_mmaction.config.loading import configure_training, read_config
from tvn_mmaction.datasets.transforms.pipeline_inspection import input_size
from tvn_mmaction.datasets.transforms.standalone_pipeline import FramePipeline
from tvn_mmaction.evaluation.costs import dummy_view, macs_per_video
from tvn_mmaction.evaluation.provenance import views
from tvn_mmaction.evaluation.report import views_table
from tvn_mmaction.evaluation.result import Scores
from tvn_mmaction.utils.errors import UserError

NEIGHBOURS = "dict(type='SampleFrames', clip_len=2, frame_interval=3, num_clips=1, test_mode=True)"


def pipeline_of(config, loader='test_dataloader'):
    return dataset_of(config, loader).pipeline


def frames_of(config, count=100):
    return FramePipeline([dict(step) for step in pipeline_of(config)]).frame_numbers(count)


@pytest.mark.parametrize('clips', [1, 3, 10])
def test_every_clip_spans_the_whole_video(config_file, clips):
    config = read_config(config_file, options={'views.clips': clips})
    frames = np.reshape(frames_of(config), (clips, 2))
    assert (frames[:, 0] < 50).all() and (frames[:, 1] >= 49).all()
    assert len(np.unique(frames)) == 2 * clips
    assert views(config) == clips and dummy_view(config).shape == (2, 3, 32, 32)


def test_one_view_is_that_of_the_config(config_file):
    plain = read_config(config_file)
    assert pipeline_of(read_config(config_file, options={'views.clips': 1, 'views.crops': 1})) == pipeline_of(plain)
    assert 'views' not in plain


def test_only_the_test_follows(config_file):
    plain, config = (
        read_config(config_file, options=options) for options in ({}, {'views.clips': 3, 'views.crops': 3})
    )
    for loader in ('train_dataloader', 'val_dataloader'):
        assert pipeline_of(config, loader) == pipeline_of(plain, loader)
    assert config.model == plain.model


def test_crops_and_their_cost(config_file):
    config = read_config(config_file, options={'views.clips': 3, 'views.crops': 3})
    types = [step.type for step in pipeline_of(config)]
    assert types[types.index('Resize') + 1] == 'ThreeCrop' and types.count('ThreeCrop') == 1
    assert views(config) == 9 and dummy_view(config).shape == (2, 3, 32, 32)
    assert macs_per_video(config) == 9 * macs_per_video(read_config(config_file))
    assert input_size(pipeline_of(config), 9) == (2, 32, 32)


def test_neighbouring_frames_are_spread_over_the_video(config_file):
    more = f"pipeline = test_dataloader['dataset']['pipeline']\npipeline[1] = {NEIGHBOURS}\n"
    config_file.write_text(config_file.read_text() + more)
    frames = np.reshape(frames_of(read_config(config_file, options={'views.clips': 4})), (4, 2))
    assert (np.diff(frames) == 3).all() and (np.diff(frames[:, 0]) > 15).all()


def test_config_that_has_views_keeps_them(config_file, tmp_path):
    options = {'views.clips': 3, 'views.crops': 3}
    first = read_config(config_file, options=options)
    first.dump(tmp_path / 'kept.py')
    again = read_config(tmp_path / 'kept.py', options=options)
    assert pipeline_of(again) == pipeline_of(first)
    assert views(read_config(tmp_path / 'kept.py', options={'views.clips': 5})) == 15
    with pytest.raises(UserError, match=r'views\.crops is 1, and .*kept\.py has three crops already\. Give 3'):
        read_config(tmp_path / 'kept.py', options={'views.crops': 1})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'views.clips': 0}, r'views\.clips is 0\. Give a whole number above 0'),
        ({'views.clip': 3}, r'views has no clip\. Give clips \(optional, a whole .*\), crops \(optional, 1 or 3\)'),
        ({'views.crops': 10}, r'views\.crops is 10\. Give 1 or 3'),
        ({'views.clips': 3, 'test_dataloader.dataset.pipeline.1.type': 'DenseSampleFrames'}, 'DenseSampleFrames'),
        ({'views.crops': 3, 'test_dataloader.dataset.pipeline.3.scale': (64, 32)}, 'does not resize its frames'),
    ],
)
def test_invalid_views_are_refused(config_file, options, message):
    with pytest.raises(UserError, match=message):
        read_config(config_file, options=options)


@pytest.mark.slow
def test_result_has_the_views_and_their_cost(config_file, tmp_path):
    """On videos that move: the scores of several views are not those of one."""
    config = read_config(config_file, str(tmp_path / 'one'), options={'train_cfg.max_epochs': 1})
    configure_training(config)
    one = train_test.train(config)
    several = read_config(config_file, str(tmp_path / 'several'), options={'views.clips': 3, 'views.crops': 3})
    tested = train_test.test(several, tmp_path / 'one/epoch_1.pth')
    assert (one.protocol.views, tested.protocol.views) == (1, 9)
    assert tested.costs['gmacs_per_video'] == pytest.approx(9 * one.costs['gmacs_per_video'])
    table = views_table([one, tested]).splitlines()
    assert '| 1 × 1 |' in table[2] and '| 3 × 3 |' in table[3]
    scores = [Scores.load(tmp_path / name / 'scores.npz') for name in ('one', 'several')]
    assert scores[0].groups == ['01', '02'] * 3 and len(set(scores[0].videos)) == 6
    assert not np.allclose(scores[0].scores, scores[1].scores)
