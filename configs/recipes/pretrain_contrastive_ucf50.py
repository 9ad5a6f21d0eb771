# Pretraining of TVN-1 on UCF50 without labels: which clips are of one video, and of one part of it? After TCLR (arXiv
# 2101.07974): 2 clips of each half of a video, 8 frames of 200 x 200 pixels each, augmented each for itself; together
# it spans the whole clip, 4.6 s at 25 fps in the median. Augmentation as in tvn1_heavy_ucf50.py, 10 epochs
# at the learning rate of tvn1_ucf50.py. A test asks the nearest neighbours among the training's clips.
_base_ = 'tvn1_heavy_ucf50.py'

augmentation = dict(span=None)
parts = dict(type='SamplePart', clip_len=1, num_clips=_base_.clip.frames)
train_pipeline = [dict(type='DecordInit'), parts, dict(type='DecordDecode'), _base_.of_frames, *_base_.rest]
train_dataloader = dict(dataset=dict(type='ClipViewsDataset', parts=2, views=2, pipeline=train_pipeline))

model = dict(
    cls_head=dict(
        _delete_=True, type='ContrastiveHead', num_classes=50, in_channels=2048, temperature=0.1, average_clips='prob'),
    data_preprocessor=dict(blending=None))
default_hooks = dict(ema=None)  # it would average the clips that are kept as neighbours, too
optim_wrapper = dict(optimizer=dict(lr=0.03))
train_cfg = dict(max_epochs=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=10, convert_to_iter_based=True)
]
