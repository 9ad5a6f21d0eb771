"""Frame stores: equality with decoded videos, incremental and interrupted builds, checks against a pipeline."""

import json
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import DATASETS, TRANSFORMS
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from benchmarks.targets.data_loading import measure_data_time
from tests.processes import file_size_limit
from tests.small_experiment import write_config
from tests.videos import write_empty, write_video
from tvn_mmaction.config.loaders import datasets
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.frame_store_check import check_store
from tvn_mmaction.datasets.manifest import read_manifest, write_manifest
from tvn_mmaction.datasets.preparation import frame_store_builder
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.transforms import frame_store
from tvn_mmaction.datasets.transforms.frame_store import FOLDER, StoreSettings
from tvn_mmaction.utils.errors import UserError

lmdb = pytest.importorskip('lmdb')

WIDTH, HEIGHT = 96, 72
SQUASH = {'type': 'Resize', 'scale': (32, 32), 'keep_ratio': False}
CROP = [{'type': 'Resize', 'scale': (-1, 48)}, {'type': 'RandomResizedCrop'}, SQUASH]


def write_clips(folder: Path, count: int = 4) -> Path:
    """Write videos of two classes, with the codec XVID, which has key frames, and a broken one."""
    for label, name in enumerate(('A', 'B')):
        for group in range(1, count + 1):
            path = folder / name / f'v_{name}_g{group:02d}_c01.avi'
            write_video(path, 12 + 7 * group + label, WIDTH, HEIGHT, codec='XVID')
    write_empty(folder / 'B/v_B_g01_c02.avi')
    return folder


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    return write_clips(tmp_path_factory.mktemp('clips'))


@pytest.fixture(scope='module')
def built(videos, tmp_path_factory) -> Path:
    """A data root with a store."""
    root = tmp_path_factory.mktemp('built') / 'root'
    build_data_root(videos, root, 'twothirds')
    build_frames(root, short_side=48)
    return root


@pytest.fixture
def root(built, tmp_path) -> Path:
    """A copy of the data root with a store."""
    return Path(shutil.copytree(built, tmp_path / 'root'))


@pytest.fixture
def count_decoded(monkeypatch) -> list[str]:
    decoded, decode_all = [], frame_store_builder._decode_all

    def counted(clips, *args, **kwargs):
        decoded.extend(clip.path for clip in clips)
        return decode_all(clips, *args, **kwargs)

    monkeypatch.setattr(frame_store_builder, '_decode_all', counted)
    return decoded


def content(root: Path) -> dict[bytes, bytes]:
    frame_store.close_reader(root)
    with frame_store.open_store(root / FOLDER) as transaction:
        return dict(transaction.cursor())


def data_set(root: Path, decoder: str, *rest: dict, test: bool = True):
    sampling = {'type': 'SampleFrames', 'clip_len': 3, 'frame_interval': 2, 'num_clips': 2, 'test_mode': test}
    steps = [{'type': f'{decoder}Init'}, sampling, {'type': f'{decoder}Decode'}, *(rest or [SQUASH])]
    with DefaultScope.overwrite_default_scope('mmaction'):
        return DATASETS.build(
            {'type': 'UCF50Dataset', 'data_root': str(root), 'protocol': 'twothirds', 'subset': 'train',
             'pipeline': steps}
        )  # fmt: skip


@pytest.mark.parametrize('test', [True, False], ids=['test', 'train'])
def test_frames_are_those_of_decord(built, test):
    decoded, stored = (data_set(built, name, test=test) for name in ('Decord', 'FrameStore'))
    assert len(decoded) == len(stored) > 3
    for index in range(len(decoded)):
        results = []
        for each in (decoded, stored):
            np.random.seed(index)
            results.append(each[index])
        video, frames = results
        assert np.array_equal(video['frame_inds'], frames['frame_inds'])
        for key in ('total_frames', 'avg_fps', 'img_shape', 'filename', 'label', 'num_clips', 'clip_len'):
            assert video[key] == frames[key], key
        assert len(video['imgs']) == len(frames['imgs']) == 6
        assert np.abs(np.array(video['imgs'], int) - np.array(frames['imgs'], int)).max() <= 4
        assert len({round(frame.mean()) for frame in frames['imgs']}) > 1  # the frames differ


def test_repeated_frames_of_short_clips_share_no_memory(built):
    sampling = {'type': 'SampleFrames', 'clip_len': 60, 'frame_interval': 1, 'num_clips': 1, 'out_of_bound_opt': 'loop'}
    results = data_set(built, 'FrameStore')[0]
    results = {key: results[key] for key in ('data_root', 'sha256', 'filename', 'modality', 'start_index')}
    with DefaultScope.overwrite_default_scope('mmaction'):
        for step in ({'type': 'FrameStoreInit'}, sampling, {'type': 'FrameStoreDecode'}):
            results = TRANSFORMS.build(step)(results)
    images = results['imgs']
    assert len(images) == 60 > results['total_frames']
    assert not np.shares_memory(images[0], images[results['total_frames']])


@pytest.mark.parametrize(('start', 'workers'), [('fork', 2), pytest.param('spawn', 1, marks=pytest.mark.slow)])
def test_data_loaders_read_the_store_with_any_start_method(built, start, workers):
    pack = ({'type': 'FormatShape', 'input_format': 'NCHW'}, {'type': 'PackActionInputs'})
    dataset = data_set(built, 'FrameStore', SQUASH, *pack)
    alone = [dataset[index]['inputs'] for index in range(len(dataset))]  # the store is open in this process now
    pickle.dumps(dataset.pipeline)
    loader = DataLoader(dataset, 2, num_workers=workers, collate_fn=list, multiprocessing_context=start)
    together = [clip['inputs'] for batch in loader for clip in batch]
    assert all(bool((one == other).all()) for one, other in zip(alone, together, strict=True))


def test_rebuild_decodes_nothing(root, count_decoded):
    before = content(root)
    made = build_frames(root)
    assert (made.decoded, made.removed, made.clips) == (0, 0, 8)
    assert made.frames == sum(clip.frames for clip in read_manifest(root))
    assert made.settings == StoreSettings(short_side=48)
    assert content(root) == before and not count_decoded


def test_only_what_changed_is_decoded(videos, tmp_path, count_decoded):
    copy, root = Path(shutil.copytree(videos, tmp_path / 'videos')), tmp_path / 'root'
    build_data_root(copy, root, 'twothirds')
    build_frames(root, 48)
    count_decoded.clear()
    changed, gone, moved = (copy / f'A/v_A_g0{group}_c01.avi' for group in (1, 2, 3))
    write_video(changed, 15, WIDTH, HEIGHT, codec='XVID')
    shutil.copy(moved, copy / 'B/v_B_g09_c01.avi')  # the same content once more
    moved.rename(moved.with_name('v_A_g07_c01.avi'))
    gone.unlink()
    build_data_root(copy, root, 'twothirds')
    with pytest.raises(UserError, match=r'lacks 1 of the 8 clips of the manifest, the first one is .*A/v_A_g01_c01'):
        check_store(root, [SQUASH])
    made = build_frames(root)
    assert count_decoded == [str(changed)]
    assert (made.decoded, made.removed, made.clips) == (1, 2, 7)  # the former content of the changed one too
    assert len(content(root)) == 1 + made.clips + made.frames
    check_store(root, [SQUASH])


def test_other_settings_rebuild_the_store(root, capsys):
    made = build_frames(root, quality=50)
    assert made.settings == StoreSettings(short_side=48, quality=50)
    assert 'holds frames of 48 × 48 px, JPEG quality 90. Rebuilding it with 48 × 48 px' in capsys.readouterr().err
    assert made.decoded == 8
    made = build_frames(root, 36, keep_ratio=True)
    assert made.settings == StoreSettings(36, 50, True) and made.decoded == 8
    assert build_frames(root).decoded == 0
    assert {frame.shape for frame in data_set(root, 'FrameStore', {'type': 'Flip', 'flip_ratio': 0})[0]['imgs']} == {
        (36, 48, 3)
    }


@pytest.mark.parametrize(
    ('settings', 'video', 'stored'),
    [
        (StoreSettings(200), (320, 240), (200, 200)),
        (StoreSettings(256), (320, 240), (256, 240)),
        (StoreSettings(200), (100, 240), (100, 200)),
        (StoreSettings(200, keep_ratio=True), (320, 240), (267, 200)),
        (StoreSettings(200, keep_ratio=True), (240, 320), (200, 267)),
        (StoreSettings(500, keep_ratio=True), (320, 240), (320, 240)),
    ],
)
def test_size_of_stored_frames(settings, video, stored):
    assert settings.size_of(*video) == stored


@pytest.mark.parametrize('made', [{}, {'short_side': 48, 'keep_ratio': True}], ids=['square', 'ratio'])
@pytest.mark.parametrize(
    ('pipeline', 'message'),
    [
        ([SQUASH], {}),
        ([{**SQUASH, 'scale': (48, 48)}], {}),
        ([{**SQUASH, 'scale': (49, 48)}], {'square': '49 × 48, which would enlarge them. .* --short-side 49'}),
        ([{**SQUASH, 'scale': (400, 400)}], dict.fromkeys(('square', 'ratio'), '400 × 400.* --frames --short-side')),
        (CROP, {'square': 'do not keep their ratio.* --keep-ratio --short-side 48'}),
        ([{'type': 'Resize', 'scale': (90, 60)}], {
            'square': '80 × 60, with their ratio. .* --keep-ratio --short-side 60',
            'ratio': r'64 × 48 px of videos of 96 × 72, and the config asks for 80 × 60.* --short-side 60',
        }),
        ([{'type': 'Resize', 'scale': 0.5}], dict.fromkeys(('square', 'ratio'), 'takes them as they are')),
        (CROP[1:], {'square': 'do not keep', 'ratio': 'the config takes them as they are, .* --short-side 72'}),
        ([], {'square': 'do not keep', 'ratio': 'the config takes them as they are, .* --short-side 72'}),
    ],
)  # fmt: skip
def test_stores_too_small_for_a_pipeline_are_refused(root, made, pipeline, message, request):
    if made:
        build_frames(root, **made)
    reason = message.get('ratio' if made else 'square')
    if reason is None:
        check_store(root, pipeline)
    else:
        with pytest.raises(UserError, match=f'frames.lmdb holds frames of .*{reason}'):
            check_store(root, pipeline)


def test_missing_store(root):
    shutil.rmtree(root / FOLDER)
    message = (
        r'has no frame store. Build it with python tools/build_ucf50.py VIDEOS --out .* --frames, or .*=ExactVideo'
    )
    with pytest.raises(UserError, match=message):
        check_store(root, [SQUASH])
    with pytest.raises(UserError, match=message):
        data_set(root, 'FrameStore')[0]


def test_store_and_manifest_that_differ(root):
    clips = read_manifest(root)
    write_manifest(root / 'manifest.csv', [clips[0]._replace(frames=9), *clips[1:]])
    with pytest.raises(UserError, match=r'has 19 frames of .*A/v_A_g01_c01.avi and the manifest 9'):
        check_store(root, [SQUASH])


@pytest.mark.parametrize('file', ['frames.lmdb', 'manifest.csv'])
def test_frames_of_an_earlier_reader_are_refused_and_read_again(root, videos, file):
    if file == 'frames.lmdb':
        sha256 = read_manifest(root)[0].sha256
        with lmdb.open(str(root / FOLDER)) as store, store.begin(write=True) as transaction:
            video = json.loads(transaction.get(sha256.encode()))
            del video['reader']
            transaction.put(sha256.encode(), json.dumps(video).encode())
    else:
        write_manifest(root / file, [clip._replace(reader=0) for clip in read_manifest(root)])
    frame_store.close_reader(root)
    with pytest.raises(UserError, match=f'{file} was written by an earlier release, .* Build it with'):
        check_store(root, [SQUASH])
    if file == 'manifest.csv':
        build_data_root(videos, root, 'twothirds')
    assert build_frames(root).decoded == (1 if file == 'frames.lmdb' else 0)
    check_store(root, [SQUASH])


@pytest.mark.parametrize('damage', ['half', 'text', 'settings'])
def test_damaged_stores_are_refused_and_rebuilt(root, damage, capsys):
    file = root / FOLDER / 'data.mdb'
    if damage == 'settings':
        with lmdb.open(str(root / FOLDER)) as store, store.begin(write=True) as transaction:
            transaction.put(frame_store.SETTINGS_KEY, b'{"side": 3}')
    else:
        with lmdb.open(str(root / FOLDER)) as store, store.begin(write=True) as transaction:
            transaction.put(b'0' * 64 + b'/000000', bytes(3 << 20))  # larger than what may be unwritten
        file.write_bytes(b'text' * 5000 if damage == 'text' else file.read_bytes()[: 64 << 10])
    with pytest.raises(UserError, match=r'frames.lmdb cannot be read: .* Remove it. Build it with'):
        check_store(root, [SQUASH])
    assert build_frames(root, 48).decoded == 8
    assert 'Rebuilding it with 48 × 48 px' in capsys.readouterr().err
    check_store(root, [SQUASH])


def test_store_grows_beyond_its_first_map_size(root, monkeypatch):
    before = content(root)
    shutil.rmtree(root / FOLDER)
    monkeypatch.setattr(frame_store_builder, 'FIRST_MAP_BYTES', 64 << 10)
    assert build_frames(root, 48).bytes > 64 << 10
    assert content(root) == before


def test_clip_that_differs_from_the_manifest_is_refused(root):
    shutil.rmtree(root / FOLDER)
    clips = read_manifest(root)
    write_manifest(root / 'manifest.csv', [clips[0]._replace(frames=9), *clips[1:]])
    with pytest.raises(UserError, match=r'A/v_A_g01_c01.avi has 19 frames, and 9 in the manifest. Run tools'):
        build_frames(root)
    write_manifest(root / 'manifest.csv', [clips[0]._replace(path='A/gone.avi'), *clips[1:]])
    with pytest.raises(UserError, match=r'A/gone.avi, frame 0: it does not decode: '):
        build_frames(root)


@pytest.mark.parametrize('fault', [lambda: os._exit(1), lambda: time.sleep(60)], ids=['crash', 'hang'])
def test_decoder_that_crashes_or_hangs_is_named_and_the_rest_is_stored(root, monkeypatch, fault):
    read = frame_store_builder.open_reader
    monkeypatch.setattr(frame_store_builder, '_encoding_limit_s', lambda clip: 3)
    monkeypatch.setattr(
        frame_store_builder, 'open_reader', lambda path: fault() if 'A_g01' in path.name else read(path)
    )
    shutil.rmtree(root / FOLDER)
    with pytest.raises(UserError, match=r'the decoder of \S*A/v_A_g01_c01.avi crashed or hung; all other clips are'):
        build_frames(root, 48)
    monkeypatch.undo()
    assert build_frames(root).decoded == 1


def test_build_resumes_after_a_full_disk(root):
    before = content(root)
    shutil.rmtree(root / FOLDER)
    message = r'frames.lmdb cannot be written: .* If the disk is full, make room'
    with file_size_limit(100 << 10), pytest.raises(UserError, match=message):
        build_frames(root, 48)
    assert 0 < build_frames(root).decoded < 8
    assert content(root) == before


def test_concurrent_build_is_refused(root, monkeypatch):
    from filelock import FileLock

    with FileLock(root / FOLDER / '.lock'), pytest.raises(UserError, match='is being written by another process'):
        monkeypatch.setattr(frame_store_builder, 'LOCK_SECONDS', 0)
        build_frames(root)


def test_decoder_variable_switches_a_config(root, tmp_path):
    file = write_config(tmp_path, root)
    options = {'decoder': 'FrameStore', 'split.protocol': 'twothirds'}
    config = read_config(file, options=options)
    store = {'short_side': 48, 'quality': 90, 'keep_ratio': False}
    for dataset in datasets(config):
        assert dataset.pipeline[0] == {'type': 'FrameStoreInit', 'store': store}
        assert dataset.pipeline[2] == {'type': 'FrameStoreDecode'}
    config.dump(tmp_path / 'dumped.py')
    assert read_config(tmp_path / 'dumped.py').train_dataloader == config.train_dataloader
    back = read_config(tmp_path / 'dumped.py', options={'decoder': 'Decord'})
    assert back.train_dataloader.dataset.pipeline[0] == {'type': 'DecordInit'}
    build_frames(root, quality=70)
    with pytest.raises(UserError, match=r'is for frames of 48 × 48 px, JPEG quality 90, and the store .* quality 70'):
        read_config(tmp_path / 'dumped.py')
    build_frames(root, 31)
    with pytest.raises(UserError, match=r'would enlarge them. .* --short-side 32'):
        read_config(file, options=options)


def test_other_data_sets_are_refused(root, tmp_path):
    file = write_config(tmp_path, root, "train_dataloader['dataset'] = dict(_delete_=True, type='VideoDataset',\n"
                        "    ann_file='', pipeline=[dict(type='DecordInit')])\n")  # fmt: skip
    with pytest.raises(UserError, match='VideoDataset has no data_root'):
        read_config(file, options={'decoder': 'FrameStore'})


def test_measured_data_time(root, tmp_path):
    file = write_config(tmp_path, root)
    measured = measure_data_time(file, options={'split.protocol': 'twothirds'}, rounds=2, clips=3)
    assert json.loads(json.dumps(measured)) == measured
    assert measured['identical_frames'] and measured['pixel_difference'] < 3
    assert (measured['train_clips'], measured['measured_clips']) == (4, 3)
    assert all(time > 0 for time in measured['ms_per_clip'].values())
    assert measured['ratio_range'][0] <= measured['ratio'] <= measured['ratio_range'][1]
    assert measured['store']['short_side'] == 48
