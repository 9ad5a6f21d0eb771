"""Timelines of joined clips: boundaries, gaps, smoothing, memory, interruptions, formats."""

import csv
import json
from collections.abc import Iterator
from types import SimpleNamespace

import av
import numpy as np
import pytest

from tests.videos import write_film, write_text
from tvn_mmaction.datasets.transforms.standalone_pipeline import FramePipeline
from tvn_mmaction.datasets.video_reader import Frame, VideoReader
from tvn_mmaction.deploy.live.overlay import annotate_segments
from tvn_mmaction.deploy.recognizer import VideoRecognizer
from tvn_mmaction.deploy.timeline import Segment, Window, clock, merge_windows, score_windows, write_timeline
from tvn_mmaction.utils.errors import UserError

CLASSES = ['dark', 'grey', 'bright']
LEVELS = [20, 120, 220]  # of the pixels of each class
PIPELINE = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=4, test_mode=True),
    dict(type='DecordDecode'),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]


class FakeVideo:
    """Parts of one class each, and the number of its frames that are held anywhere."""

    def __init__(self, parts: list[tuple[int, float]], fps: float = 10, times: list[float] | None = None):
        self.fps = fps
        labels = [label for label, seconds in parts for _ in range(round(seconds * fps))]
        self.frames = list(zip(times or [index / fps for index in range(len(labels))], labels, strict=True))
        self.decoded = self.held = self.most_held = 0

    def __iter__(self) -> Iterator[Frame]:
        for index, (time_s, label) in enumerate(self.frames):
            self.decoded += 1
            yield Frame(index, time_s, self._pixels(label))

    def _pixels(self, label: int) -> np.ndarray:
        video = self

        class Pixels(np.ndarray):
            def __del__(self):
                if self.base is None:
                    video.held -= 1

        pixels = np.ndarray.__new__(Pixels, (2, 2, 3), np.uint8)
        pixels[:] = LEVELS[label]
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        return pixels


def recognize(clips: list[np.ndarray]) -> np.ndarray:
    """Return the share of the frames of each class."""
    levels = np.stack(clips).mean(axis=(2, 3, 4))[..., None]
    return (np.abs(levels - LEVELS) < 1).mean(axis=1)


def windows_of(video, every_s: float = 1, window_s: float = 3, batch: int = 1) -> list[Window]:
    return list(score_windows(video, FramePipeline(PIPELINE), recognize, every_s, window_s, batch))


def timeline(video, every_s: float = 1, window_s: float = 3, **options) -> list[Segment]:
    windows = score_windows(video, FramePipeline(PIPELINE), recognize, every_s, window_s)
    return list(merge_windows(windows, 'a.mp4', CLASSES, **options))


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize(('every_s', 'window_s'), [(1, 3), (0.5, 2), (0.3, 1.7), (3, 2), (0.01, 1)])
def test_boundaries_of_joined_clips_are_found_within_half_a_window(every_s, window_s, batch):
    parts = [(0, 8), (2, 6.5), (1, 9), (0, 7)]
    video = FakeVideo(parts)
    windows = windows_of(video, every_s, window_s, batch)
    segments = list(merge_windows(windows, 'a.mp4', CLASSES))
    assert [segment.label for segment in segments] == [CLASSES[label] for label, _ in parts]
    ends = np.cumsum([seconds for _, seconds in parts])
    assert np.abs([segment.end_s for segment in segments] - ends).max() <= max(window_s, every_s) / 2 + 0.1
    assert [segment.start_s for segment in segments] == [0, *(segment.end_s for segment in segments[:-1])]
    assert segments[-1].end_s == pytest.approx(30.5)
    assert len(windows) == int((305 - round(10 * window_s)) / max(10 * every_s, 1)) + 1
    assert video.decoded == len(video.frames)


def test_memory_holds_the_frames_of_a_window():
    video = FakeVideo([(0, 100), (1, 100)])
    assert len(timeline(video)) == 2
    assert 0 < video.most_held <= 30 + 2
    later = FakeVideo([(0, 100), (1, 100)])
    for _ in score_windows(later, FramePipeline(PIPELINE), recognize, 1, 3):
        later.most_held = later.held
    # 4 frames of each of 3 unfinished windows, the newest frame and the one before.
    assert later.most_held <= 4 * 3 + 2 and later.decoded == 2000


def test_short_video_is_one_window_of_all_its_frames():
    (window,) = windows_of(FakeVideo([(1, 0.4)]))
    assert (window.start_s, window.end_s) == (0, pytest.approx(0.4))
    (segment,) = timeline(FakeVideo([(0, 0.3), (2, 0.9)]), window_s=60)
    assert segment == Segment('a.mp4', 0, pytest.approx(1.2), 'bright', 0.75)
    assert timeline(FakeVideo([])) == []


def test_times_of_a_variable_frame_rate_are_kept():
    # 4 s with 10 frames per second, then 8 s with one.
    times = [*np.arange(0, 4, 0.1), *np.arange(4, 12, 1.0)]
    first, second = timeline(FakeVideo([(0, 4), (2, 0.8)], times=times), window_s=1, every_s=0.5)
    assert first.end_s == pytest.approx(4, abs=0.5)
    assert second.end_s == pytest.approx(11, abs=0.2)  # the start of the last frame


def windows_with(*shares: float) -> list[Window]:
    return [Window(i, i + 1, np.array([share, 1 - share, 0])) for i, share in enumerate(shares)]


def test_windows_below_the_threshold_have_no_label():
    windows = windows_with(0.9, 0.8, 0.55, 0.52, 0.7, 0.1)
    assert list(merge_windows(windows, '', CLASSES, threshold=0.6)) == [
        Segment('', 0, 2, 'dark', pytest.approx(0.85)),
        Segment('', 4, 5, 'dark', pytest.approx(0.7)),
        Segment('', 5, 6, 'grey', pytest.approx(0.9)),
    ]
    assert [segment.label for segment in merge_windows(windows, '', CLASSES)] == ['dark', 'grey']


@pytest.mark.parametrize('count', [1, 2, 3, 4, 9])
def test_smoothing_averages_neighbouring_windows(count):
    shares = [0.9, 0.9, 0.2, 0.9, 0.8, 0.7, 0.6]
    before, after = (count - 1) // 2, count // 2
    expected = [np.mean(shares[max(i - before, 0) : i + after + 1]) for i in range(len(shares))]
    segments = list(merge_windows(windows_with(*shares), '', CLASSES, smooth=count))
    assert sum((s.end_s - s.start_s) * s.probability for s in segments) == pytest.approx(
        sum(max(share, 1 - share) for share in expected)
    )
    assert [segment.label for segment in segments] == (['dark', 'grey', 'dark'] if count == 1 else ['dark'])


@pytest.mark.parametrize('error', [KeyboardInterrupt(), UserError('the file breaks off')])
def test_interruption_keeps_the_segments_so_far(error):
    def interrupted() -> Iterator[Window]:
        yield from windows_with(0.9, 0.8, 0.3, 0.2)
        raise error

    found = []
    with pytest.raises(type(error)):
        found.extend(merge_windows(interrupted(), '', CLASSES))  # list.extend keeps what came before
    assert [(segment.label, segment.end_s) for segment in found] == [('dark', 2), ('grey', 4)]


class BrightnessEngine:
    """Three classes of brightness, with the probabilities of `recognize`."""

    batch = 2
    metadata = SimpleNamespace(classes=CLASSES, frames=4, pipeline=PIPELINE)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return scores."""
        levels = inputs.mean(axis=(2, 3, 4), dtype=np.float64)[..., None]
        return np.log((np.abs(levels - LEVELS) < 40).mean(axis=1) + 1e-3).astype(np.float32)


@pytest.fixture(scope='module')
def recognizer():
    return VideoRecognizer(BrightnessEngine())


FILM = [(LEVELS[0], 6), (LEVELS[2], 8), (LEVELS[1], 7.5)]


def test_film_of_joined_clips(recognizer, tmp_path):
    film = write_film(tmp_path / 'film.mp4', FILM)
    segments = list(recognizer.timeline(film, every_s=0.5, window_s=2, threshold=0.6, smooth=2))
    assert [segment.label for segment in segments] == ['dark', 'bright', 'grey']
    assert [segment.source for segment in segments] == [str(film)] * 3
    assert [segment.end_s for segment in segments] == pytest.approx([6, 14, 21.5], abs=1)
    assert next(recognizer.timeline(film)).label == 'dark'  # a generator that is left open ends its decoder


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (dict(video='nothing.mp4'), r'nothing\.mp4 does not exist'),
        (dict(every_s=0), 'every_s is 0 and window_s is 3'),
        (dict(window_s=-1), 'window_s is -1'),
    ],
)
def test_misuse_is_refused(recognizer, tmp_path, arguments, reason):
    film = write_film(tmp_path / 'film.mp4', [(20, 0.5)])
    with pytest.raises(UserError, match=reason):
        list(recognizer.timeline(**{'video': film, **arguments}))


def test_broken_empty_and_truncated_videos_are_named(recognizer, tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match=r'a\.mp4: it does not open as a video'):
        list(recognizer.timeline(write_text(tmp_path / 'a.mp4')))
    for parts, damage in (([], ''), ([(2, 4)], 'it ends after 40 of its 99 frames')):
        video = FakeVideo(parts)
        video.damage, video.declared_s = damage, None
        monkeypatch.setattr('tvn_mmaction.deploy.recognizer.open_video', lambda file, video=video: video)
        if parts:
            assert [segment.label for segment in recognizer.timeline('b.mp4')] == ['bright']
        else:
            with pytest.raises(UserError, match=r'b\.mp4 holds no frame that can be decoded'):
                list(recognizer.timeline('b.mp4'))
    assert 'b.mp4: it ends after 40 of its 99 frames. The rest of it has no labels.' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('name', 'sound', 'codec', 'summary'),
    [
        ('film.mp4', 'aac', 'aac', 'with sound'),
        ('film.avi', 'pcm_s16le', 'aac', 'with sound'),
        ('film.mp4', None, None, 'without sound'),
    ],
)
def test_segments_are_drawn_with_the_sound(recognizer, tmp_path, name, sound, codec, summary):
    film = write_film(tmp_path / name, FILM, sound=sound)
    segments = [Segment(str(film), 2, 6, 'dark', 0.9), Segment(str(film), 6, 14, 'bright', 0.8)]
    assert annotate_segments(film, tmp_path / 'out.mp4', segments).endswith(f'out.mp4, 215 frames, {summary}')
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, 'out.mp4'])
    with VideoReader(tmp_path / 'out.mp4') as reader:
        texts = [np.ptp(frame.pixels) > 60 for frame in reader]
    assert len(texts) == 215 and not any(texts[:20]) and all(texts[20:140]) and not any(texts[140:])
    with av.open(str(tmp_path / 'out.mp4')) as out:
        stream = out.streams.best('audio')
        assert (stream and stream.codec_context.name) == codec
        if stream:
            samples = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in out.decode(stream)])
            assert len(samples) / stream.rate == pytest.approx(21.5, abs=0.3)
            assert np.abs(samples[1000:-3000]).mean() > 0.05


def test_files_of_segments(tmp_path):
    segments = [Segment('ü, 1.mp4', 0, 61.25, 'dark', 0.5), Segment('ü, 1.mp4', 3661.5, 3662, 'grey', 0.754)]
    for suffix in ('csv', 'jsonl', 'srt'):
        write_timeline(tmp_path / f'made/a.{suffix}', segments)
    with (tmp_path / 'made/a.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == dict(source='ü, 1.mp4', start_s='0', end_s='61.25', label='dark', probability='0.5')
    lines = (tmp_path / 'made/a.jsonl').read_text(encoding='utf-8').splitlines()
    assert [Segment(**json.loads(line)) for line in lines] == segments
    assert (tmp_path / 'made/a.srt').read_text(encoding='utf-8') == (
        '1\n00:00:00,000 --> 00:01:01,250\ndark 50%\n\n2\n01:01:01,500 --> 01:01:02,000\ngrey 75%\n'
    )


def test_clock_carries():
    assert [clock(time_s) for time_s in (0, 59.96, 3600.04)] == ['0:00:00.0', '0:01:00.0', '1:00:00.0']
