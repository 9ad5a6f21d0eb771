# X3D-M on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 16 frames,
# stride 5, of 224 x 224 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/x3d.py']

clip = dict(frames=16, size=224, span=80)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/x3d/facebook/x3d_m_16x5x1_facebook-kinetics400-rgb_20201027-3f42382a.pth'
model = dict(cls_head=dict(num_classes=50))
