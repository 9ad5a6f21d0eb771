# X3D-S on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 13 frames, stride 6, of 160 x 160 pixels, at random in training, the middle ones in testing (one view). It spans 73
# frames, 2.92 s at 25 fps.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py',
    'mmaction::_base_/models/x3d.py'
]

clip = dict(frames=13, size=160)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/x3d/facebook/x3d_s_13x6x1_facebook-kinetics400-rgb_20201027-623825a0.pth'
model = dict(cls_head=dict(num_classes=50))

sampling = dict(type='SampleFrames', clip_len=clip['frames'], frame_interval=6, num_clips=1)
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
