# Slow fusion on UCF50, after the paper's table: three layers merge the frames step by step; no augmentation, no
# pretraining. 10 neighbouring frames of 170 x 170 pixels, at random in training, the middle ones in testing (one view).
_base_ = ['../_base_/fixed_frames.py', '../_base_/schedule_40e.py']

clip = dict(size=170)
fixed_frames = 10
model = dict(
    type='Recognizer3D',
    backbone=dict(type='SlowFusion', spatial_size=170),
    cls_head=dict(type='I3DHead', num_classes=50, in_channels=4096, spatial_type=None, average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        format_shape='NCTHW'))
