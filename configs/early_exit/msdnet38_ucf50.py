# MSDNet-38 on UCF50, frame by frame, with an exit after each of its 5 blocks of 7 layers: no augmentation, no
# pretraining, trained on the subset fit, so that tools/calibrate.py has a validation. 8 frames of 224 x 224 pixels,
# one from each eighth of the clip, at random in training, the middle one in testing (one view).
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsm_r50.py']

model = dict(
    type='DynamicRecognizer2D',
    backbone=dict(_delete_=True, type='MSDNet', arch='msdnet38', num_segments=8),
    cls_head=dict(_delete_=True, type='MultiExitHead', num_classes=50, in_channels=[576, 640, 608, 528, 976]))
train_dataloader = dict(dataset=dict(subset='fit'))
val_dataloader = dict(dataset=dict(subset='validation'))
