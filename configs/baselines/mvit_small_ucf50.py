# MViTv2-S on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 16 frames, stride 4, of
# 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/mvit_small.py']

clip = dict(frames=16, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb_20230201-23284ff3.pth'
model = dict(
    backbone=dict(temporal_size=16, spatial_size=224), cls_head=dict(num_classes=50))
