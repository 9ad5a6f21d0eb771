# TPN on SlowOnly with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8
# frames, stride 8, of 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tpn_slowonly_r50.py']

clip = dict(frames=8, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/tpn/tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb/tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb_20220913-97d0835d.pth'
model = dict(
    backbone=dict(pretrained=None),
    neck=dict(aux_head_cfg=dict(out_channels=50)),
    cls_head=dict(num_classes=50),
    test_cfg=None)  # its fcn_test would keep the classifier of the first validation
