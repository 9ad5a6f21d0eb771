# C3D on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 16 neighbouring frames of
# 112 x 112 pixels, at random in training, the middle ones in testing (one view).
_base_ = [
    '../_base_/fixed_frames.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/c3d_sports1m_pretrained.py'
]

clip = dict(size=112)
fixed_frames = 16
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb_20220811-31723200.pth'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=50))
