# TVN-1 on UCF50 in minutes on a CPU: 2 frames of 112 x 112 pixels, no augmentation, no pretraining, 8 epochs.
# Stock SampleFrames cuts the clip into 2 equal parts and takes one frame of each: at random in training, the middle
# one in testing (one view). It spans the whole clip, 4.6 s at 25 fps.
_base_ = 'tvn1_ucf50.py'

clip = dict(frames=2, size=112)
model = dict(backbone=dict(num_segments=clip['frames']))
sampling = dict(type='SampleFrames', clip_len=1, frame_interval=10, num_clips=clip['frames'])
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=8, convert_to_iter_based=True)
]
