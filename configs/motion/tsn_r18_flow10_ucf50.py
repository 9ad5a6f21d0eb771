# TSN with ResNet-18 on the optical flow of UCF50: 8 stacks of 10 fields, 80 fields of 200 x 200 pixels, x and y as 20
# channels, means subtracted; no augmentation, no pretraining. Stock SampleFrames takes one stack of each eighth of
# the clip at random in training, evenly spread ones in testing (one view).
_base_ = ['../_base_/flow.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsn_r50.py']

model = dict(
    backbone=dict(pretrained=None, depth=18, in_channels=20),
    cls_head=dict(num_classes=50, in_channels=512),
    data_preprocessor=dict(mean=[128], std=[128]))
