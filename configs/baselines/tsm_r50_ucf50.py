# TSM with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8 frames of 224
# x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one view).
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsm_r50.py']

pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb_20220831-64d69186.pth'
model = dict(
    backbone=dict(pretrained=None, num_segments=8),
    cls_head=dict(num_classes=50, num_segments=8))
