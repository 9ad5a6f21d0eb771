# Pretraining of TVN-1 on UCF50 without labels: at which of 4 rates is a clip played? 8 frames of 200 x 200 pixels: each
# frame, each second, fourth or eighth one; an epoch is every clip at every rate. The longest spans 57 frames, 2.28 s at
# 25 fps, at random in training, the middle one in testing. Augmentation as in tvn1_heavy_ucf50.py, 10
# epochs at the learning rate of tvn1_ucf50.py.
_base_ = 'tvn1_heavy_ucf50.py'

answers = [1, 2, 4, 8]  # frames from one to the next
augmentation = dict(span=None)
played = dict(type='PlaybackRate', clip_len=_base_.clip.frames)
decode = dict(type='DecordDecode')
train_pipeline = [dict(type='DecordInit'), played, decode, _base_.of_frames, *_base_.rest]
test_pipeline = [dict(type='DecordInit'), dict(**played, test_mode=True), decode, *_base_.rest]
train_dataloader = dict(dataset=dict(type='PretextDataset', answers=answers, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='PretextDataset', answers=answers, pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    cls_head=dict(num_classes=4),
    data_preprocessor=dict(blending=None))  # of clips at two rates none is true
optim_wrapper = dict(optimizer=dict(lr=0.03))
train_cfg = dict(max_epochs=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=10, convert_to_iter_based=True)
]
