# 8 fields of optical flow of 200 pixels, over the whole clip: at random in training, the middle ones in testing.
_base_ = ['flow10_8x200.py']

clip = dict(frames=8, size=200)
sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=clip['frames'])
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
