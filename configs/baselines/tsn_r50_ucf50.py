# TSN with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8 frames of 224
# x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one view).
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsn_r50.py']

pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb/tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb_20220906-2692d16c.pth'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=50))
