# Slow fusion on UCF50, after the paper's table: three layers merge the frames step by step; no augmentation, no
# pretraining. 10 neighbouring frames of 170 x 170 pixels, at random in training, the middle ones in testing (one view).
# It spans 10 frames, 0.40 s at 25 fps.
_base_ = ['../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py']

clip = dict(size=170)  # its frames are fixed
model = dict(
    type='Recognizer3D',
    backbone=dict(type='SlowFusion', spatial_size=clip['size']),
    cls_head=dict(type='I3DHead', num_classes=50, in_channels=4096, spatial_type=None, average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        format_shape='NCTHW'))
sampling = dict(type='SampleFrames', clip_len=10, frame_interval=1, num_clips=1)
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
train_dataloader = dict(dataset=dict(pipeline=[dict(type='DecordInit'), sampling, *rest]))
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
