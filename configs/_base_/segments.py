# Input: one frame of each of `clip.frames` equal parts of the clip, at random in training, the middle one in testing.
# In training, stock SampleFrames leaves `clip.stride` frames at the end out; in testing it has no effect.
_base_ = ['default_runtime.py', 'ucf50.py']

clip = dict(frames=8, size=224, stride=1)
sampling = dict(type='SampleFrames', clip_len=1, frame_interval='${clip.stride}', num_clips='${clip.frames}')
reader = dict(type='ExactVideoInit')
common_steps = [
    dict(type='ExactVideoDecode'),
    dict(type='Resize', scale=('${clip.size}', '${clip.size}'), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [reader, sampling, *common_steps]
test_pipeline = [reader, dict(**sampling, test_mode=True), *common_steps]
