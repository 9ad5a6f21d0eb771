# I3D with ResNet-50 and dot-product non-local blocks on UCF50, the definition of the mmaction2 wheel: no
# augmentation, no pretraining. 32 frames, stride 2, of 224 x 224 pixels, at random in training, the middle ones in
# testing (one view).
_base_ = ['../_base_/dense.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/i3d_r50.py']

clip = dict(frames=32, size=224, span=64)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/i3d/i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_kinetics400-rgb/i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_kinetics400-rgb_20220812-8e1f2148.pth'
non_local_cfg = dict(sub_sample=True, use_scale=False, mode='dot_product', norm_cfg=dict(type='BN3d'))
non_local = dict(non_local=((0, 0, 0), (0, 1, 0, 1), (0, 1, 0, 1, 0, 1), (0, 0, 0)), non_local_cfg=non_local_cfg)
model = dict(backbone=dict(pretrained=None, **non_local), cls_head=dict(num_classes=50))
