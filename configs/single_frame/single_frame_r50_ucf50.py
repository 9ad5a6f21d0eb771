# ResNet-50 on single frames of UCF50, TSN of the mmaction2 wheel with one segment: no augmentation, no pretraining.
# Training sees 1 frame of 224 x 224 pixels, at random. Testing averages 8 of them, the middle one of each eighth of
# the clip (one view), and with clip.frames=1 sees one, too.
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsn_r50.py']

pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb/tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb_20220906-2692d16c.pth'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=50))

train_pipeline = [_base_.reader, dict(**{**_base_.sampling, 'num_clips': 1}), *_base_.common_steps]
