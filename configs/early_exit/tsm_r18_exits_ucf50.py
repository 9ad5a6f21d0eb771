# TSM with ResNet-18 on UCF50 with an exit after each of its stages: no augmentation, no pretraining, trained on the
# subset fit, so that tools/calibrate.py has a validation. 8 frames of 224 x 224 pixels, one from each eighth of the
# clip, at random in training, the middle one in testing (one view).
_base_ = '../baselines/tsm_r18_ucf50.py'

model = dict(
    type='DynamicRecognizer2D',
    backbone=dict(type='ResNetTSMWithExits', out_indices=(0, 1, 2, 3)),
    cls_head=dict(_delete_=True, type='MultiExitHead', num_classes=50, in_channels=[64, 128, 256, 512]))
train_dataloader = dict(dataset=dict(subset='fit'))
val_dataloader = dict(dataset=dict(subset='validation'))
