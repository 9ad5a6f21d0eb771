"""Demo set: contents, reproducibility by seed, interruptions, protocols."""

import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import DATASETS
from mmengine.registry import DefaultScope

from tvn_mmaction.datasets import demo
from tvn_mmaction.datasets.demo import ACTIONS, draw_clip, draw_demo
from tvn_mmaction.datasets.manifest import classes_of, read_manifest
from tvn_mmaction.utils.errors import UserError

SMALL = {'groups': 5, 'clips_per_group': 2, 'frames': 10}
DATA_SET = {
    'type': 'DemoDataset',
    'pipeline': [
        {'type': 'DecordInit'},
        {'type': 'SampleFrames', 'clip_len': 1, 'frame_interval': 1, 'num_clips': 4, 'test_mode': True},
        {'type': 'DecordDecode'},
        {'type': 'Resize', 'scale': (48, 48), 'keep_ratio': False},
        {'type': 'FormatShape', 'input_format': 'NCHW'},
        {'type': 'PackActionInputs'},
    ],
}


@pytest.fixture(scope='module')
def drawn(tmp_path_factory) -> Path:
    """A small demo set."""
    root = tmp_path_factory.mktemp('drawn') / 'demo'
    draw_demo(root, **SMALL)
    return root


def contents(root: Path) -> dict[str, bytes | list]:
    """Return every file's content, the manifest's without the times of the files."""
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob('*') if path.is_file()}
    return files | {'manifest.csv': [clip._replace(modified_ns=0) for clip in read_manifest(root)]}


def test_names_and_counts(drawn):
    names = sorted(path.relative_to(drawn).as_posix() for path in drawn.rglob('*.avi'))
    assert names == [
        f'videos/{name}/v_{name}_g{group:02d}_c{clip:02d}.avi'
        for name in sorted(ACTIONS)
        for group in (1, 2, 3, 4, 5)
        for clip in (1, 2)
    ]
    clips = read_manifest(drawn)
    assert [clip.path for clip in clips] == names
    assert {(clip.frames, clip.fps, clip.width, clip.height, clip.problem) for clip in clips} == {
        (10, 25, 320, 240, '')
    }
    assert classes_of(clips) == sorted(ACTIONS)
    assert len({clip.sha256 for clip in clips}) == len(clips)


def test_clips_differ_by_seed_group_and_number():
    clip = draw_clip('Walking', group=1, clip=1, frames=2)
    assert clip.shape == (2, 240, 320, 3)
    assert clip.dtype == np.uint8
    assert np.array_equal(clip, draw_clip('Walking', group=1, clip=1, frames=2))
    for other in ({'group': 1, 'clip': 1, 'seed': 1}, {'group': 2, 'clip': 1}, {'group': 1, 'clip': 2}):
        assert not np.array_equal(clip, draw_clip('Walking', **other, frames=2))


@pytest.mark.parametrize('name', ACTIONS)
def test_figure_moves_and_stays_in_the_frame(name):
    for group in range(1, 17):
        clip = draw_clip(name, group, clip=1)
        moving = np.ptp(clip, axis=0).any(axis=-1)
        assert moving.mean() > 0.005
        assert not (moving[0].any() or moving[-1].any() or moving[:, 0].any() or moving[:, -1].any())


def test_background_belongs_to_the_group():
    frames = {(name, group): draw_clip(name, group, clip=1, frames=1)[0] for name in ACTIONS for group in (1, 2)}

    def equal_pixels(first: tuple[str, int], second: tuple[str, int]) -> float:
        return (frames[first] == frames[second]).all(axis=-1).mean()

    for name in ACTIONS:
        assert equal_pixels((name, 1), ('Walking', 1)) > 0.7
        assert equal_pixels((name, 1), (name, 2)) < 0.1


def test_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch, drawn):
    def interrupt(path: Path, frames: np.ndarray) -> None:
        if 'Punch' in path.name:
            raise KeyboardInterrupt
        path.write_bytes(b'')

    with monkeypatch.context() as patch:
        patch.setattr(demo, 'write_video', interrupt)
        with pytest.raises(KeyboardInterrupt):
            draw_demo(tmp_path / 'demo', **SMALL)
    assert not list(tmp_path.iterdir())
    draw_demo(tmp_path / 'demo', **SMALL)
    assert contents(tmp_path / 'demo') == contents(drawn)


def test_processes_that_draw_at_once_share_one_folder(tmp_path, drawn, monkeypatch):
    processes = multiprocessing.get_context('fork')
    both_draw = processes.Barrier(2)
    write_video = demo.write_video

    def write_at_once(path: Path, frames: np.ndarray) -> None:
        if path.name == 'v_Cartwheel_g01_c01.avi':
            both_draw.wait(60)
        write_video(path, frames)

    monkeypatch.setattr(demo, 'write_video', write_at_once)
    drawing = [processes.Process(target=draw_demo, args=(tmp_path / 'demo',), kwargs=SMALL) for _ in range(2)]
    for process in drawing:
        process.start()
    for process in drawing:
        process.join()
    assert [process.exitcode for process in drawing] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ['demo']
    assert contents(tmp_path / 'demo') == contents(drawn)


def test_folder_that_is_not_a_demo_set_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(UserError, match='Choose another folder for the demo set'):
        draw_demo(tmp_path, **SMALL)
    with pytest.raises(UserError, match='Choose another folder'):
        draw_demo(tmp_path / 'notes.txt' / 'demo', **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ['notes.txt']


def test_data_set_is_created_once_and_loads(tmp_path, monkeypatch):
    written = []

    def write_video(path: Path, frames: np.ndarray, write_video=demo.write_video) -> None:
        written.append(path)
        write_video(path, frames)

    monkeypatch.setattr(demo, 'draw_demo', partial(draw_demo, **SMALL))
    monkeypatch.setattr(demo, 'write_video', write_video)
    root = tmp_path / 'data' / 'demo'
    with DefaultScope.overwrite_default_scope('mmaction'):
        train, test = (
            DATASETS.build({**DATA_SET, 'data_root': str(root), 'protocol': 'group5', 'subset': subset})
            for subset in ('train', 'test')
        )
        assert len(written) == 80
        assert (len(train), len(test)) == (64, 16)
        assert train.metainfo['classes'] == tuple(sorted(ACTIONS))
        sample = test[5]
    assert sample['inputs'].shape == (4, 3, 48, 48)
    assert sample['data_samples'].gt_label.item() == 2
