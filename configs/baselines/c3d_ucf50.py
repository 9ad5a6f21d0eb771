# C3D on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 16 neighbouring frames of 112 x 112 pixels, at random in training, the middle ones in testing (one view). It spans 16
# frames, 0.64 s at 25 fps.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py',
    'mmaction::_base_/models/c3d_sports1m_pretrained.py'
]

clip = dict(size=112)  # its frames are fixed
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb_20220811-31723200.pth'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=50))

sampling = dict(type='SampleFrames', clip_len=16, frame_interval=1, num_clips=1)
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
