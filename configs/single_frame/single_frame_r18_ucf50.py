# ResNet-18 on single frames of UCF50, TSN of the mmaction2 wheel with one segment: no augmentation, no pretraining.
# Training sees 1 frame of 224 x 224 pixels, at random. Testing averages 8 of them, the middle one of each eighth of
# the clip (one view), and with clip.frames=1 sees one, too.
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsn_r50.py']

model = dict(backbone=dict(pretrained=None, depth=18), cls_head=dict(num_classes=50, in_channels=512))

train_pipeline = [_base_.reader, dict(**{**_base_.sampling, 'num_clips': 1}), *_base_.common_steps]
