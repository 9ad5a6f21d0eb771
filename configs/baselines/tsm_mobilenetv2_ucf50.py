# TSM with MobileNetV2 on UCF50, the definition of the mmaction2 wheel: no augmentation, no pretraining. 8 frames of
# 224 x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one view).
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsm_mobilenet_v2.py']

pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/tsm/tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb/tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb_20230414-401127fd.pth'
model = dict(
    backbone=dict(pretrained=None, num_segments=8),
    cls_head=dict(num_classes=50, num_segments=8))
