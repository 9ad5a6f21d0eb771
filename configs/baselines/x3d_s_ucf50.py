# X3D-S on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 13 frames,
# stride 6, of 160 x 160 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/x3d.py']

clip = dict(frames=13, size=160, span=78)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/x3d/facebook/x3d_s_13x6x1_facebook-kinetics400-rgb_20201027-623825a0.pth'
model = dict(cls_head=dict(num_classes=50))
