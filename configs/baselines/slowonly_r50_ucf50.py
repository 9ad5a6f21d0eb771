# SlowOnly 4x16 with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 4 frames, stride 16, of 224 x 224 pixels, at random in training, the middle ones in testing (one view). It spans 49
# frames, 1.96 s at 25 fps.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py',
    'mmaction::_base_/models/slowonly_r50.py'
]

clip = dict(frames=4, size=224)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb/slowonly_r50_4x16x1_256e_8xb16_kinetics400-rgb_20220901-f6a40d08.pth'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=50))

sampling = dict(type='SampleFrames', clip_len=clip['frames'], frame_interval=16, num_clips=1)
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
