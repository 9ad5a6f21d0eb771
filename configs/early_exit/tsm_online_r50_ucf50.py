# ResNet-50 with the online temporal shift on UCF50 with exits after 2, 4 and 8 frames, in the order of time: no
# augmentation, no pretraining, trained on the subset fit, so that tools/calibrate.py has a validation. 8 frames of
# 224 x 224 pixels, one from each eighth of the clip, at random in training, the middle one in testing (one view).
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsm_r50.py']

model = dict(
    type='DynamicRecognizer2D',
    backbone=dict(_delete_=True, type='OnlineResNetTSM', depth=50, num_segments=8, exit_count=3, order='natural'),
    cls_head=dict(_delete_=True, type='MultiExitHead', num_classes=50, in_channels=[2048, 2048, 2048]))
train_dataloader = dict(dataset=dict(subset='fit'))
val_dataloader = dict(dataset=dict(subset='validation'))
