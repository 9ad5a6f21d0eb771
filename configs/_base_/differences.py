# Input: differences of neighbouring frames, `clip.frames` pairs over the whole clip, one of each equal part at random
# in training, evenly spread in testing.
_base_ = ['default_runtime.py', 'ucf50.py']

clip = dict(frames=8, size=200)
sampling = dict(type='SampleFrames', clip_len=2, frame_interval=1, num_clips='${clip.frames}')
reader = dict(type='ExactVideoInit')
common_steps = [
    dict(type='ExactVideoDecode'),
    dict(type='Resize', scale=('${clip.size}', '${clip.size}'), keep_ratio=False),
    dict(type='RGBDifference'),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [reader, sampling, *common_steps]
test_pipeline = [reader, dict(**sampling, test_mode=True), *common_steps]
