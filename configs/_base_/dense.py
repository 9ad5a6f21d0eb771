# Input: `clip.frames` neighbouring frames, at random in training, the middle ones in testing.
# `clip.span` is frames times stride: with fewer frames, the frames lie further apart.
_base_ = ['default_runtime.py', 'ucf50.py']

clip = dict(frames=8, size=224, span=64)
sampling = dict(type='SampleFrames', clip_len='${clip.frames}', frame_interval='${clip.stride}', num_clips=1)
reader = dict(type='ExactVideoInit')
common_steps = [
    dict(type='ExactVideoDecode'),
    dict(type='Resize', scale=('${clip.size}', '${clip.size}'), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [reader, sampling, *common_steps]
test_pipeline = [reader, dict(**sampling, test_mode=True), *common_steps]
