# MViTv2-S on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 16 frames, stride 4, of 224 x 224 pixels, at random in training, the middle ones in testing (one view). It spans 61
# frames, 2.44 s at 25 fps.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py',
    'mmaction::_base_/models/mvit_small.py'
]

clip = dict(frames=16, size=224)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb_20230201-23284ff3.pth'
model = dict(
    backbone=dict(temporal_size=clip['frames'], spatial_size=clip['size']), cls_head=dict(num_classes=50))

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
