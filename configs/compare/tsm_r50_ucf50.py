# TSM with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 8 frames of 224 x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one
# view). It spans the whole clip, 4.6 s at 25 fps in the median.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py',
    'mmaction::_base_/models/tsm_r50.py'
]

clip = dict(frames=8, size=224)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb_20220831-64d69186.pth'
model = dict(
    backbone=dict(pretrained=None, num_segments=clip['frames']),
    cls_head=dict(num_classes=50, num_segments=clip['frames']))

sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=clip['frames'])
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
