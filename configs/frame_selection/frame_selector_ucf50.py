# A frame selector for UCF50 after SMART: MobileNetV2 on small frames, no pretraining; its scores rank the frames.
# 16 frames of 64 x 64 pixels, one from each sixteenth of the clip, at random in training, the middle one in testing
# (one view). Next: tools/select_frames.py.
_base_ = ['../_base_/segments.py', '../_base_/schedule_40e.py', 'mmaction::_base_/models/tsn_r50.py']

clip = dict(frames=16, size=64)
model = dict(
    backbone=dict(_delete_=True, type='MobileNetV2'),
    cls_head=dict(
        _delete_=True, type='FrameSelectorHead', num_classes=50, in_channels=1280, average_clips='prob'))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01))
