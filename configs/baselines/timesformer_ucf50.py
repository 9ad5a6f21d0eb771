# TimeSformer with divided attention over space and time on UCF50, the definition of the mmaction2 wheel: no
# augmentation, no pretraining.
# 8 frames, stride 32, of 224 x 224 pixels, at random in training, the middle ones in testing (one view). It spans 225
# frames, 9.00 s at 25 fps. Shorter clips are looped.
_base_ = ['../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py']

clip = dict(frames=8, size=224)
pretrained = False
pretrained_weights = 'https://download.openmmlab.com/mmaction/v1.0/recognition/timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb_20220815-a4d0d01f.pth'
followed = dict(num_frames=clip['frames'], img_size=clip['size'])
model = dict(
    type='Recognizer3D',
    backbone=dict(type='TimeSformer', patch_size=16, norm_cfg=dict(type='LN', eps=1e-6), **followed),
    cls_head=dict(type='TimeSformerHead', num_classes=50, in_channels=768, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, format_shape='NCTHW'))

sampling = dict(type='SampleFrames', clip_len=clip['frames'], frame_interval=32, num_clips=1)
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
