# TSM with ResNet-18 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8 frames of 224
# x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one view).
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsm_r50.py']

model = dict(
    backbone=dict(pretrained=None, depth=18, num_segments=8),
    cls_head=dict(num_classes=50, in_channels=512, num_segments=8))
