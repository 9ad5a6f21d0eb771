# ResNet-18 on single frames of UCF50, TSN of the mmaction2 wheel with one segment: no augmentation, no pretraining.
# Training sees 1 frame of 224 x 224 pixels, at random. Testing averages 8 of them, the middle one of each eighth
# of the clip (one view), and with clip.frames=1 sees one, too. It spans the whole clip, 4.6 s at 25 fps in the median.
_base_ = ['../_base_/segments_8x224.py', 'mmaction::_base_/models/tsn_r50.py']

model = dict(backbone=dict(pretrained=None, depth=18), cls_head=dict(num_classes=50, in_channels=512))

train_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=1),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
