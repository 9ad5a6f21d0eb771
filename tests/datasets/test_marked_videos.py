"""Marked videos of all codecs, containers and troubles: each reader of the package returns the frames of a player."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import DATASETS
from mmengine.registry import DefaultScope

os.environ.setdefault('SVT_LOG', '1')  # errors only

from benchmarks.decoders.agreement import live_frames
from benchmarks.decoders.cases import CASES
from benchmarks.decoders.marked_videos import COLOUR_TOLERANCE, colour_error, number_of
from tvn_mmaction.datasets.decoding_process import DecodingProcess
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.transforms.standalone_pipeline import FramePipeline
from tvn_mmaction.datasets.video_reader import VideoReader

JPEG_TOLERANCE = 1  # of 255, of mean colours
SAMPLES = 8


def steps(decoder: str) -> list[dict]:
    sampling = {'type': 'SampleFrames', 'clip_len': 1, 'frame_interval': 1, 'num_clips': SAMPLES, 'test_mode': True}
    return [{'type': f'{decoder}Init'}, sampling, {'type': f'{decoder}Decode'}]


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('marked')
    for number, case in enumerate(CASES):
        path = folder / 'AB'[number % 2] / case.name
        path.parent.mkdir(exist_ok=True)
        case.write(path)
    return folder


@pytest.fixture(scope='module')
def root(videos, tmp_path_factory) -> Path:
    """A data root with a frame store of whole frames."""
    pytest.importorskip('lmdb')
    root = tmp_path_factory.mktemp('built')
    build_data_root(videos, root, 'twothirds', group_pattern='none')
    build_frames(root, short_side=1000, quality=100, keep_ratio=True)
    return root


@pytest.fixture(scope='module')
def clips(root) -> dict[str, dict]:
    """The row of the manifest, and the samples of a data set by decoder, of each video."""
    found = {clip.file_name: {'row': clip} for clip in read_manifest(root)}
    for decoder in ('ExactVideo', 'FrameStore'):
        for subset in ('train', 'test'):
            settings = {'type': 'UCF50Dataset', 'data_root': str(root), 'protocol': 'twothirds', 'subset': subset}
            with DefaultScope.overwrite_default_scope('mmaction'):
                dataset = DATASETS.build(settings | {'pipeline': steps(decoder)})
            for index in range(len(dataset)):
                name = Path(dataset.get_data_info(index)['filename']).name
                found[name][decoder] = lambda dataset=dataset, index=index: dataset[index]
    return found


@pytest.fixture(scope='module')
def process() -> DecodingProcess:
    return DecodingProcess()


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_frame_i_is_the_ith_frame_of_a_player(case, videos, clips, process):
    path = videos / 'AB'[CASES.index(case) % 2] / case.name
    with VideoReader(path) as reader:
        frames = [frame.pixels for frame in reader]
        assert reader.damage == ''
    assert [number_of(frame) for frame in frames] == list(case.numbers)
    assert {frame.shape for frame in frames} == {(*case.size[::-1], 3)}
    assert max(map(colour_error, frames)) <= COLOUR_TOLERANCE

    chosen = random.Random(case.name).choices(range(len(frames)), k=SAMPLES)
    isolated = process.open(path)
    for video in (VideoReader(path), isolated):
        np.testing.assert_array_equal(video.frames(chosen), [frames[index] for index in chosen])
        assert video.frame_count == len(frames)
        np.testing.assert_array_equal([frame.pixels for frame in video], frames)

    row = clips[case.name]['row']
    assert (row.problem, row.frames, row.width, row.height) == ('', len(frames), *case.size)
    for decoder, tolerance in (('ExactVideo', 0), ('FrameStore', JPEG_TOLERANCE)):
        sample = clips[case.name][decoder]()
        assert sample['total_frames'] == len(frames)
        expected = [frames[index] for index in sample['frame_inds']]
        assert [number_of(image) for image in sample['imgs']] == [number_of(image) for image in expected]
        assert np.abs(np.mean(np.subtract(sample['imgs'], expected, dtype=float), axis=(1, 2))).max() <= tolerance
        assert max(map(colour_error, sample['imgs'])) <= COLOUR_TOLERANCE + tolerance
    pack = [{'type': 'FormatShape', 'input_format': 'NCHW'}, {'type': 'PackActionInputs'}]
    inputs = FramePipeline(steps('ExactVideo') + pack).of_video(path, process)
    np.testing.assert_array_equal(inputs.numpy().transpose(0, 2, 3, 1), expected)

    live = list(live_frames(path, process))
    np.testing.assert_array_equal([frame.pixels[..., ::-1] for frame in live], frames)
    assert sorted(frame.time_s for frame in live) == [frame.time_s for frame in live]
