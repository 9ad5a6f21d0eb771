# TSM with ResNet-18 on UCF50 from scratch, by the recipe of tsn_r18_ucf50.py: 8 frames of 200 x 200 pixels.
_base_ = ['_base_/recipe.py', 'mmaction::_base_/models/tsm_r50.py']

model = dict(
    backbone=dict(pretrained=None, depth=18, num_segments=8),
    cls_head=dict(num_classes=50, in_channels=512, num_segments=8, dropout_ratio=0.5, label_smooth_eps=0.1),
    data_preprocessor=dict(blending=_base_.blending))
