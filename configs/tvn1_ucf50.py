# TVN-1 on UCF50: 8 frames of 200 x 200 pixels, one from each eighth of the whole clip, no augmentation, no pretraining.
# Sampling is stock SampleFrames: training draws each frame at random within its eighth, testing takes the middle, one
# view. It sees the whole clip: 7 s of a median UCF50 clip, whose length it follows, so that strides differ per clip.
_base_ = ['_base_/default_runtime.py', '_base_/ucf50.py', '_base_/tvn1.py', '_base_/schedule_40e.py']

sampling = dict(type='SampleFrames', clip_len=1, frame_interval=10, num_clips=8)
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(200, 200), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
