# R(2+1)D with ResNet-34 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8 frames,
# stride 8, of 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/r2plus1d_r34.py']

clip = dict(frames=8, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb_20220812-47cfe041.pth'
model = dict(backbone=dict(norm_cfg=dict(type='BN3d')), cls_head=dict(num_classes=50))  # SyncBN needs GPUs
