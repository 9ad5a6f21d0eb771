"""Video reader: equal answers by index, in sequence and from another process; damaged and hostile files."""

import json
import os
import re
import signal

import av
import numpy as np
import pytest

from tests.videos import write_empty, write_text, write_video
from tvn_mmaction.datasets import decoding_process
from tvn_mmaction.datasets.decoding_process import DecodingProcess
from tvn_mmaction.datasets.video_reader import VideoReader


def write_h264(path, frame_count=40, **options):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', 25, options={'g': '8', 'bf': '2', **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for index in range(frame_count):
            picture = np.full((48, 64, 3), 255 * index // frame_count, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


def positions(frames, frame_count=40):
    return [round(float(frame.mean()) * frame_count / 255) for frame in frames]


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    return write_h264(tmp_path_factory.mktemp('videos') / 'video.mp4')


@pytest.mark.parametrize('indices', [[0], [39], [5, 2, 2, 39, 0], list(range(40)), [7, 8, 9, 16, 31]])
def test_frames_by_index_are_those_in_sequence(video, indices):
    by_index, in_sequence = VideoReader(video), VideoReader(video)
    in_sequence.__dict__['_index'] = []
    assert by_index.frame_count == in_sequence.frame_count == len(list(VideoReader(video))) == 40
    frames = by_index.frames(indices)
    assert positions(frames) == indices
    np.testing.assert_array_equal(frames, in_sequence.frames(indices))
    np.testing.assert_array_equal(by_index.frames(indices), frames)  # a second request seeks back


def test_time_stamps_start_at_zero(video):
    times = [frame.time_s for frame in VideoReader(video)]
    np.testing.assert_allclose(times, np.arange(40) / 25)
    assert VideoReader(video).fps == 25


def test_frames_beyond_the_end_are_refused(video, tmp_path):
    for path in (video, write_video(tmp_path / 'video.avi', frame_count=40)):
        for reader in (VideoReader(path), DecodingProcess().open(path)):
            with pytest.raises(IndexError, match='frame 40 is beyond the end: the video has 40 frames'):
                reader.frames([3, 40])
            assert len(reader.frames([39])) == 1


def test_process_returns_the_frames_of_the_reader(video, tmp_path):
    process = DecodingProcess()
    for path in (video, write_video(tmp_path / 'other.avi', 12, width=30, height=20), video):
        isolated, reader = process.open(path), VideoReader(path)
        assert (isolated.frame_count, isolated.fps) == (reader.frame_count, reader.fps)
        np.testing.assert_array_equal(isolated.frames([3, 7]), reader.frames([3, 7]))
        for frame in isolated:
            if frame.index == 2:  # the rest is not read
                break
        for one, other in zip(isolated, reader, strict=True):
            assert one[:2] == other[:2]
            np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize('open_video', [VideoReader, lambda path: DecodingProcess().open(path)])
def test_files_that_are_no_videos(tmp_path, open_video):
    for path in (write_text(tmp_path / 'text.mp4'), write_empty(tmp_path / 'empty.avi')):
        with pytest.raises(ValueError, match='does not open as a video'):
            open_video(path)
    for path in (tmp_path / 'missing.mp4', tmp_path):
        with pytest.raises(OSError, match=r'No such file|Is a directory'):
            open_video(path)


def test_playlist_opens_no_other_file(video, tmp_path):
    playlist = tmp_path / 'video.mp4'
    playlist.write_text(f'ffconcat version 1.0\nfile {video}\n')
    with pytest.raises(ValueError, match='does not open as a video'):
        VideoReader(playlist)


@pytest.mark.parametrize(('number', 'message'), [(signal.SIGKILL, 'crashed'), (signal.SIGSTOP, 'hung for 1 s')])
def test_process_that_crashes_or_hangs_is_replaced(video, number, message):
    process = DecodingProcess()
    opened = process.open(video)
    opened._limit_s = 1
    os.kill(process._process.pid, number)
    with pytest.raises(ValueError, match=f'its decoder {message}'):
        opened.frames([0])
    with pytest.raises(ValueError, match='no longer open'):
        opened.frames([0])
    assert process.open(video).frame_count == 40


def test_answers_belong_to_their_requests(video, tmp_path):
    process = DecodingProcess()
    first = process.open(video)
    frames = iter(first)
    next(frames)  # its successor is under way
    assert positions(first.frames([30, 3])) == [30, 3]
    second = process.open(write_video(tmp_path / 'other.avi', 12))
    with pytest.raises(ValueError, match='no longer open'):
        first.frames([0])
    assert second.frame_count == 12


def test_memory_of_the_process_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding_process, 'MEMORY_BYTES', 300 << 20)
    path = tmp_path / 'large.avi'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('png', 25, options={'compression_level': '1', 'pred': 'none'})
        stream.width, stream.height, stream.pix_fmt = 7000, 7000, 'gray'
        container.mux(stream.encode(av.VideoFrame(7000, 7000, 'gray')))
        container.mux(stream.encode(None))
    process = DecodingProcess()
    with pytest.raises(ValueError, match='its decoder needs more than 300 MiB'):
        process.open(path).frames([0])
    assert process.open(write_video(tmp_path / 'small.avi', 12)).frame_count == 12


def test_process_ends_with_its_owner(video):
    process = DecodingProcess()
    process.open(video)
    child = process._process
    del process
    assert child.wait(5) == -signal.SIGKILL


def test_answers_are_data_only(video):
    process = DecodingProcess()
    opened = process.open(video)
    number = process.send(opened, {'frames': [0]})
    answer, pixels = process._answers.get(timeout=60)
    assert json.loads(json.dumps(answer)) == {'number': number, 'shape': [1, 48, 64, 3]} and pixels.dtype == np.uint8


def test_damage_is_reported_and_the_rest_is_read(tmp_path):
    path = write_video(tmp_path / 'video.avi', frame_count=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reader = VideoReader(path)
    assert 3 < len(list(reader)) < 40
    assert re.fullmatch(r'it ends after \d+ frames, and \d+ bytes are missing|not all of its frames .*', reader.damage)
