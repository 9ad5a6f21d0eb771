# TSN with ResNet-18 on UCF50 from scratch, by the recipe of configs/recipes/tvn1_ucf50.py but for its learning rate,
# at which the loss of this network rises for the first epochs: it keeps that of the plain experiment. 8 frames of 200
# x 200 pixels over the whole clip; in training, over a random half or more of it.
_base_ = ['_base_/recipe.py', 'mmaction::_base_/models/tsn_r50.py']

model = dict(
    backbone=dict(pretrained=None, depth=18),
    cls_head=dict(num_classes=50, in_channels=512, dropout_ratio=0.5, label_smooth_eps=0.1),
    data_preprocessor=dict(blending=_base_.blending))
