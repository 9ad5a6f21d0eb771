# TVN-2 on UCF50 at the input of its release: 2 frames, stride 7, 256 x 256 pixels; no augmentation, no pretraining.
# One clip a video: at random in training, the middle one in testing (one view). It spans 8 frames, 0.32 s at 25 fps.
_base_ = ['_base_/default_runtime.py', '_base_/ucf50.py', '_base_/tvn1.py', '_base_/schedule_40e.py']

clip = dict(frames=2, size=256)
model = dict(
    type='Recognizer3D',
    backbone=dict(arch='tvn2', num_segments=clip['frames']),
    cls_head=dict(in_channels=2088),
    data_preprocessor=dict(format_shape='NCTHW'))

sampling = dict(
    type='SampleFrames', clip_len=clip['frames'], frame_interval=7, num_clips=1, out_of_bound_opt='repeat_last')
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
