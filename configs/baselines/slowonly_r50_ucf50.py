# SlowOnly 4x16 with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 4
# frames, stride 16, of 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/slowonly_r50.py']

clip = dict(frames=4, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb/slowonly_r50_4x16x1_256e_8xb16_kinetics400-rgb_20220901-f6a40d08.pth'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=50))
