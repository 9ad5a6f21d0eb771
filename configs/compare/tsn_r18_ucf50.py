# TSN with ResNet-18 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining.
# 8 frames of 224 x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one
# view). It spans the whole clip, 4.6 s at 25 fps in the median.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py',
    'mmaction::_base_/models/tsn_r50.py'
]

clip = dict(frames=8, size=224)
model = dict(backbone=dict(pretrained=None, depth=18), cls_head=dict(num_classes=50, in_channels=512))

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
