# C2D with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8 frames,
# stride 8, of 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/c2d_r50.py']

clip = dict(frames=8, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/c2d/c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb/c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb_20221027-3ca304fa.pth'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=50))
