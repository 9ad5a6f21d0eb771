# TVN-1 on drawn clips: 4 frames of 48 x 48 pixels, mirrored at random, no pretraining, tested on groups it never saw.
# Stock SampleFrames cuts the clip into 4 equal parts and takes one frame of each: at random in training, the middle
# one in testing (one view). It spans the whole clip, 1.9 s at 25 fps.
_base_ = ['_base_/default_runtime.py', '_base_/ucf50.py', '_base_/tvn1.py']

clip = dict(frames=4, size=48)
model = dict(backbone=dict(num_segments=clip['frames']), cls_head=dict(num_classes=8))
sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=clip['frames'])
resize = dict(type='Resize', scale=(clip['size'], clip['size']), keep_ratio=False)
decode_and_resize = [dict(type='DecordDecode'), resize]
pack = [dict(type='FormatShape', input_format='NCHW'), dict(type='PackActionInputs')]
train_pipeline = [dict(type='DecordInit'), sampling, *decode_and_resize, dict(type='Flip', flip_ratio=0.5), *pack]
test_pipeline = [dict(type='DecordInit'), dict(**sampling, test_mode=True), *decode_and_resize, *pack]
split = dict(protocol='group5', fold=0, seed=0)
demo = dict(type='DemoDataset', data_root='data/demo', **split)
train_dataloader = dict(batch_size=8, dataset=dict(**demo, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**demo, pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=2, end=12, convert_to_iter_based=True)
]
