# 8 differences of neighbouring frames of 200 pixels, over the whole clip: at random in training, even in testing.
_base_ = ['default_runtime.py', 'ucf50.py', 'schedule_40e.py']

clip = dict(frames=8, size=200)
sampling = dict(type='SampleFrames', clip_len=2, frame_interval=1, num_clips=clip['frames'])
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='RGBDifference'),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
