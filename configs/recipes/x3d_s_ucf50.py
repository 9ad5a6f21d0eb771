# X3D-S on UCF50 from scratch, by the recipe of tsn_r18_ucf50.py: 13 frames, stride 6, of 160 x 160 pixels, at random in
# training, the middle ones in testing (one view). It spans 73 frames, 2.92 s at 25 fps. It sees no part of the clip as
# if it were all: it is dense.
_base_ = ['_base_/segments_8x200.py', 'mmaction::_base_/models/x3d.py']

clip = dict(frames=13, size=160)
augmentation = dict(span=None)
model = dict(
    cls_head=dict(num_classes=50, dropout_ratio=0.5, label_smooth_eps=0.1),
    data_preprocessor=dict(blending=_base_.blending))

sampling = dict(type='SampleFrames', clip_len=clip['frames'], frame_interval=6, num_clips=1)
rest = [
    dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [dict(type='DecordInit'), sampling, dict(type='DecordDecode'), _base_.of_frames, *rest]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), dict(type='DecordDecode'), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
