# Pretraining of TVN-1 on UCF50 without labels: which clips are of one video, and of one part of it? After TCLR (arXiv
# 2101.07974): 2 clips of each half of a video, 8 frames of 200 x 200 pixels each, augmented independently; together
# they span the whole clip. Augmentation as in tvn1_heavy_ucf50.py, 10 epochs at the learning rate of tvn1_ucf50.py. A
# test finds the nearest neighbours among the training's clips.
_base_ = 'tvn1_heavy_ucf50.py'

augmentation = dict(span=None)
parts = dict(type='SamplePart', clip_len=1, num_clips='${clip.frames}')
train_pipeline = [_base_.reader, parts, _base_.decode, _base_.frame_augmentation, *_base_.common_steps]
train_dataloader = dict(dataset=dict(type='ClipViewsDataset', parts=2, views=2))

model = dict(
    cls_head=dict(
        _delete_=True, type='ContrastiveHead', num_classes=50, in_channels=2048, temperature=0.1, average_clips='prob'),
    data_preprocessor=dict(blending=None))
default_hooks = dict(ema=None)  # it would average the clips that are kept as neighbours, too
optim_wrapper = dict(optimizer=dict(lr=0.03))
train_cfg = dict(max_epochs=10)
