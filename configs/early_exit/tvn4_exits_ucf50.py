# TVN-4 on UCF50 at the input of its release with an exit after each of its blocks: 8 frames, stride 4, 128 x 128
# pixels; no augmentation, no pretraining, trained on the subset fit, so that tools/calibrate.py has a validation. One
# clip a video: at random in training, the middle one in testing (one view).
_base_ = '../tvn4_ucf50.py'

model = dict(
    type='DynamicRecognizer3D',
    backbone=dict(out_indices=(0, 1, 2)),
    cls_head=dict(_delete_=True, type='MultiExitHead', num_classes=50, in_channels=[256, 1536, 2048]))
train_dataloader = dict(dataset=dict(subset='fit'))
val_dataloader = dict(dataset=dict(subset='validation'))
