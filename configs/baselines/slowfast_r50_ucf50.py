# SlowFast 4x16 with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 32
# frames, stride 2, of 224 x 224 pixels, at random in training, the middle ones in testing (one view). The slow
# pathway takes every 8th of them.
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/slowfast_r50.py']

clip = dict(frames=32, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth'
model = dict(cls_head=dict(num_classes=50))
