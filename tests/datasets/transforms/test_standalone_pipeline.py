"""Test pipelines on video files and on decoded frames."""

import pytest

from tests.videos import write_video
from tvn_mmaction.datasets.decoding_process import DecodingProcess
from tvn_mmaction.datasets.transforms.standalone_pipeline import FramePipeline, dummy_inputs, with_decoder
from tvn_mmaction.utils.errors import UserError

SIZE = dict(type='Resize', scale=[16, 12], keep_ratio=False)  # a list, as JSON makes of a tuple
SEGMENTS = [
    dict(type='DecordInit', num_threads=1),
    dict(type='SampleFrames', clip_len=1, frame_interval=10, num_clips=4, test_mode=True),
    dict(type='DecordDecode'),
    SIZE,
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
VIEWS = [
    dict(type='OpenCVInit'),
    dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=3, test_mode=True),
    dict(type='OpenCVDecode'),
    dict(type='Resize', scale=[-1, 12]),
    dict(type='ThreeCrop', crop_size=12),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


@pytest.mark.parametrize(('steps', 'shape'), [(SEGMENTS, (4, 3, 12, 16)), (VIEWS, (9, 3, 4, 12, 12))])
def test_decoded_frames_give_the_input_of_a_file(tmp_path, steps, shape):
    import decord

    video = write_video(tmp_path / 'video.avi', frame_count=40)
    frames = list(decord.VideoReader(str(video))[:].asnumpy())
    way = FramePipeline(steps)
    inputs = way.of_video(video, DecodingProcess())
    assert inputs.shape == shape == dummy_inputs(steps).shape
    assert way.of_clip(frames).equal(inputs)
    assert way.of_sampled([frames[number] for number in way.frame_numbers(40)]).equal(inputs)


def test_video_reader_replaces_every_decoder():
    init = dict(type='ExactVideoInit')
    assert with_decoder([dict(type='DecordInit', io_backend='memcached'), *SEGMENTS[1:]])[0] == init
    with pytest.raises(UserError, match='RawFrameDecode reads no videos'):
        with_decoder([dict(type='RawFrameDecode')])
    stored = [dict(type='FrameStoreInit', store={}), *SEGMENTS[1:2], dict(type='FrameStoreDecode'), *SEGMENTS[3:]]
    assert with_decoder(stored) == with_decoder(VIEWS[:1] + SEGMENTS[1:])
    assert with_decoder(stored)[:3] == [init, SEGMENTS[1], dict(type='ExactVideoDecode')]
