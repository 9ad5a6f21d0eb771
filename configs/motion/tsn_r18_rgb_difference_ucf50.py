# TSN with ResNet-18 on what moves in UCF50: 8 differences of neighbouring frames, 16 frames of 200 x 200 pixels; no
# augmentation, no pretraining. Stock SampleFrames takes 8 pairs of the clip: one of each eighth at random in
# training, evenly spread in testing (one view).
_base_ = ['../_base_/differences.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsn_r50.py']

model = dict(
    backbone=dict(pretrained=None, depth=18),
    cls_head=dict(num_classes=50, in_channels=512),
    data_preprocessor=dict(mean=[128, 128, 128]))
