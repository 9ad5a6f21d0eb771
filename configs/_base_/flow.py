# Input: optical flow, `clip.frames` stacks of `fields` neighbouring fields over the whole clip, one of each equal part
# at random in training, evenly spread in testing.
_base_ = ['default_runtime.py', 'ucf50.py']

decoder = 'FrameStore'  # of tools/build_ucf50.py --frames --flow
clip = dict(frames=8, size=200)
fields = 10
sampling = dict(type='SampleFrames', clip_len='${fields}', frame_interval=1, num_clips='${clip.frames}')
reader = dict(type='FrameStoreInit', flow=True)
common_steps = [
    dict(type='FrameStoreDecode'),
    dict(type='SubtractMeanFlow'),
    dict(type='Resize', scale=('${clip.size}', '${clip.size}'), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [reader, sampling, *common_steps]
test_pipeline = [reader, dict(**sampling, test_mode=True), *common_steps]
