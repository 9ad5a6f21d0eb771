# TRN with ResNet-50 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8 frames of 224
# x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one view). The
# head draws which of them it relates, in testing too.
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/trn_r50.py']

pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/trn/trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb/trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb_20220815-e01617db.pth'
model = dict(
    backbone=dict(pretrained=None, partial_bn=False),  # True freezes the normalisation at its first values
    cls_head=dict(num_classes=50, num_segments=8))
