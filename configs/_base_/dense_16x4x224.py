# 16 frames, stride 4, of 224 pixels: at random in training, the middle ones in testing.
_base_ = ['default_runtime.py', 'ucf50.py', 'schedule_40e.py']

clip = dict(frames=16, size=224)
sampling = dict(type='SampleFrames', clip_len=clip['frames'], frame_interval=4, num_clips=1)
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
