# A frame selector for UCF50 after SMART: MobileNetV2 on small frames, no pretraining; its scores say which are best.
# 16 frames of 64 x 64 pixels, one from each sixteenth of the clip, at random in training, the middle one in testing
# (one view). It spans the whole clip, 4.6 s at 25 fps in the median. Next: tools/select_frames.py.
_base_ = ['../_base_/segments_8x224.py', 'mmaction::_base_/models/tsn_r50.py']

clip = dict(frames=16, size=64)
model = dict(
    backbone=dict(_delete_=True, type='MobileNetV2'),
    cls_head=dict(
        _delete_=True, type='FrameSelectorHead', num_classes=50, in_channels=1280, average_clips='prob'))

sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=clip['frames'])
rest = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01))
