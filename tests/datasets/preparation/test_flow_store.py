"""Optical flow in a frame store: known motion, equality of frames, interrupted builds, cost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import DATASETS
from mmengine.registry import DefaultScope

from tests.datasets.preparation.test_frame_store import content
from tests.datasets.transforms.test_motion import texture
from tests.deploy.test_motion import FLOW
from tests.small_experiment import REPOSITORY, run_tool, write_config
from tests.videos import write_pictures
from tvn_mmaction.apis.train_test import train
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.frame_store_check import check_store
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.transforms import frame_store
from tvn_mmaction.datasets.transforms.flow_cost import FLOW_COST, flow_cost
from tvn_mmaction.datasets.transforms.frame_store import FOLDER, SETTINGS_KEY, StoreSettings
from tvn_mmaction.evaluation.report import describe, results_table
from tvn_mmaction.evaluation.result import Scores
from tvn_mmaction.utils.errors import UserError

lmdb = pytest.importorskip('lmdb')

SIDE, STORED = 64, 32
SPEEDS = {'Left': -4, 'Right': 4, 'Still': 0}  # pixels of the video a frame
READ = dict(type='FrameStoreInit', flow=True)
SQUASH = dict(type='Resize', scale=(STORED, STORED), keep_ratio=False)


def write_moving(path: Path, speed: int, frames: int) -> None:
    """Write a pattern that moves to the right by `speed` pixels a frame."""
    pattern = texture(SIDE + 200)
    starts = [100 - speed * index for index in range(frames)]
    write_pictures(path, [np.ascontiguousarray(pattern[:SIDE, start : start + SIDE]) for start in starts])


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    """Two clips to train and one to test of each class, and one of a single frame."""
    folder = tmp_path_factory.mktemp('clips')
    for name, speed in SPEEDS.items():
        for group in (1, 8, 9):
            write_moving(folder / name / f'v_{name}_g{group:02d}_c01.avi', speed, 8 + group)
    write_moving(folder / 'Still/v_Still_g10_c01.avi', 0, 1)
    return folder


@pytest.fixture(scope='module')
def built(videos, tmp_path_factory) -> Path:
    """A data root whose store has flow."""
    root = tmp_path_factory.mktemp('built') / 'root'
    build_data_root(videos, root, 'ucf101like')
    made = build_frames(root, STORED, flow=True)
    assert made.settings == StoreSettings(STORED, flow=True) and 0 < made.flow_ms < 1000
    return root


@pytest.fixture
def root(built, tmp_path) -> Path:
    """A copy of the data root."""
    return Path(shutil.copytree(built, tmp_path / 'root'))


def clips_of(root: Path, *steps: dict, subset: str = 'train') -> list[dict]:
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset = DATASETS.build(
            dict(type='UCF50Dataset', data_root=str(root), protocol='ucf101like', subset=subset, pipeline=list(steps))
        )
    return [dataset[index] for index in range(len(dataset))]


def test_known_motion_survives_store_and_pipeline(built):
    """In pixels of stored frames, which are half as large as the video's; the last frame has no flow."""
    sampling = dict(type='SampleFrames', clip_len=2, num_clips=3, test_mode=True)
    shape = dict(type='FormatShape', input_format='NCHW')
    for clip in clips_of(built, READ, sampling, dict(type='FrameStoreDecode'), shape):
        name = Path(clip['filename']).parent.name
        frames = next(each.frames for each in read_manifest(built) if each.sha256 == clip['sha256'])
        assert clip['total_frames'] == max(1, frames - 1) and clip['modality'] == 'Flow'
        assert clip['imgs'].shape == (3, 4, STORED, STORED)  # x, y, x, y
        moved = np.median(clip['imgs'][..., 6:-6, 6:-6].astype(float), axis=(0, 2, 3)) / 255 * 40 - 20
        expected = SPEEDS[name] * STORED / SIDE
        assert moved == pytest.approx([expected, 0, expected, 0], abs=0.3), name
        if name == 'Still':
            assert np.abs(clip['imgs'].astype(int) - 128).max() <= 1


def test_frames_are_the_same_with_and_without_flow(built, root, capsys):
    with_flow = content(built)
    made = build_frames(root, flow=False)
    assert 'with optical flow. Rebuilding it with 32 × 32 px, JPEG quality 90.\n' in capsys.readouterr().err
    assert made.settings == StoreSettings(STORED) and made.flow_ms is None
    without = content(root)
    assert {key for key in with_flow if b'/x/' in key or b'/y/' in key} == with_flow.keys() - without.keys()
    assert all(with_flow[key] == value for key, value in without.items() if key != SETTINGS_KEY)
    assert build_frames(root, flow=True).decoded == made.clips and content(root) == with_flow


def test_store_without_flow_is_refused_for_flow_only(root):
    assert check_store(root, [READ, SQUASH]).flow and check_store(root, [dict(type='FrameStoreInit'), SQUASH]).flow
    build_frames(root, flow=False)
    check_store(root, [dict(type='FrameStoreInit'), SQUASH])
    hint = r'Build it with python tools/build_ucf50.py VIDEOS --out .* --frames --flow$'
    with pytest.raises(UserError, match=f'holds no optical flow, which the config reads. {hint}'):
        check_store(root, [READ, SQUASH])
    with pytest.raises(UserError, match=f'lacks the flow of .*v_.*avi. {hint}'):
        clips_of(root, READ)
    shutil.rmtree(root / FOLDER)
    with pytest.raises(UserError, match=f'has no frame store. {hint}'):
        check_store(root, [READ, SQUASH])


def test_store_of_an_earlier_release_has_no_flow(root):
    build_frames(root, flow=False)
    before = content(root)
    frame_store.close_reader(root)
    with lmdb.open(str(root / FOLDER)) as store, store.begin(write=True) as transaction:
        transaction.put(SETTINGS_KEY, json.dumps({'short_side': 32, 'quality': 90, 'keep_ratio': False}).encode())
    assert not check_store(root, [SQUASH]).flow
    assert build_frames(root).decoded == 0 and content(root) == before


def test_flow_of_a_removed_clip_is_removed(videos, tmp_path):
    copy, root = Path(shutil.copytree(videos, tmp_path / 'videos')), tmp_path / 'root'
    build_data_root(copy, root, 'ucf101like')
    build_frames(root, STORED, flow=True)
    (copy / 'Left/v_Left_g01_c01.avi').unlink()
    build_data_root(copy, root, 'ucf101like')
    made = build_frames(root)
    assert (made.removed, made.decoded, made.flow_ms) == (1, 0, None)
    fields = made.frames - made.clips + 1  # of the clip of one frame as well
    assert len(content(root)) == 1 + made.clips + made.frames + 2 * fields


def test_smallest_frames_of_flow(root):
    with pytest.raises(UserError, match=r'frames of 8 × 8 px.*. Use --short-side 12 or more, or --no-flow'):
        build_frames(root, 8)


@pytest.mark.slow
def test_results_of_both_streams_are_of_the_same_clips(built, tmp_path):
    """They can be fused clip by clip, and the tables contain the cost of flow."""
    scores, results = [], []
    for name, more in (('frames', ''), ('flow', FLOW)):
        folder = tmp_path / name
        folder.mkdir()
        file = write_config(folder, built, more)
        results.append(train(read_config(file, work_dir=str(folder / 'work'), options={'train_cfg.max_epochs': 1})))
        scores.append(Scores.load(folder / 'work/scores.npz'))
    frames, flow = scores
    assert (frames.clips, frames.classes) == (flow.clips, flow.classes) and len(frames.clips) == 3
    assert np.array_equal(frames.labels, flow.labels) and not np.array_equal(frames.scores, flow.scores)
    assert [result.protocol.views for result in results] == [1, 1]
    assert 'flow_ms_per_clip' not in results[0].costs and 0 < results[1].costs['flow_ms_per_clip'] < 1000
    assert 'ms of one core per clip' in describe(results[1], tmp_path)
    assert results_table(results).count(' ms of flow |') == 1


def test_cost_of_flow_is_measured_on_clips_of_all_classes(built):
    """Only clips with two frames count."""
    clips = [clip.sha256 for clip in read_manifest(built)]
    assert flow_cost(built, ['0' * 64], 'A') is flow_cost('nowhere', clips, 'A') is None
    cost = flow_cost(built, ['0' * 64] * 40 + clips, 'A')
    assert cost.ms > 0 and 0 < cost.pairs < len(clips) and cost.processor == 'A'


def test_cost_of_flow_is_measured_once_for_a_store_and_a_processor(root):
    clips = [clip.sha256 for clip in read_manifest(root)]
    first = flow_cost(root, clips, 'A')
    assert first.frames == '32 × 32 px, JPEG quality 90'
    replace(first, ms=12345.0).save(root / FOLDER / FLOW_COST)
    assert flow_cost(root, clips, 'A').ms == 12345
    other = flow_cost(root, clips, 'B')
    assert other.ms != 12345 and flow_cost(root, clips, 'B') == other
    replace(other, ms=12345.0).save(root / FOLDER / FLOW_COST)
    build_frames(root, 24)
    assert flow_cost(root, clips, 'B').frames.startswith('24 × 24 px')


def test_tool_builds_the_store(videos, tmp_path):
    options = ('--protocol', 'ucf101like', '--frames', '--flow', '--short-side', '32', '--quality', '80')
    done = run_tool(REPOSITORY / 'tools/build_ucf50.py', videos, '--out', 'root', *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'of 10 clips, 32 × 32 px, JPEG quality 80, with optical flow: 0.00 GB' in done.stdout
    assert 'ms a frame on one core' in done.stdout
    assert 'written to root: manifest.csv, classes.txt, lists, summary.json, frames.lmdb\n' in done.stdout
    following = 'train.py configs/motion/tvn1_flow10_ucf50.py --data-root root --cfg-options split.protocol=ucf101like'
    assert done.stdout.rstrip().endswith(following)
