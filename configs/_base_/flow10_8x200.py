# 8 stacks of 10 fields of optical flow of 200 pixels, over the whole clip: at random in training, even in testing.
_base_ = ['default_runtime.py', 'ucf50.py', 'schedule_40e.py']

decoder = 'FrameStore'  # made by tools/build_ucf50.py --frames --flow
clip = dict(frames=8, size=200)
sampling = dict(type='SampleFrames', clip_len=10, frame_interval=1, num_clips=clip['frames'])
rest = [
    dict(type='FrameStoreDecode'),
    dict(type='SubtractMeanFlow'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
read = dict(type='FrameStoreInit', flow=True)
train_dataloader = dict(dataset=dict(pipeline=[read, sampling, *rest]))
val_dataloader = dict(dataset=dict(pipeline=[read, dict(**sampling, test_mode=True), *rest]))
test_dataloader = val_dataloader
