# TVN-1 on the synthetic demo clips: 4 frames of 48 x 48 pixels over the whole clip, flipped at random, no pretraining,
# tested on groups that it never saw (one view).
_base_ = ['_base_/segments.py', '_base_/tvn1.py']

data_root = 'data/demo'
clip = dict(frames=4, size=48)
split = dict(protocol='group5', fold=0, seed=0)
model = dict(backbone=dict(num_segments=4), cls_head=dict(num_classes=8))
decode, resize, *pack = _base_.common_steps
train_pipeline = [_base_.reader, _base_.sampling, decode, resize, dict(type='Flip', flip_ratio=0.5), *pack]
train_dataloader = dict(batch_size=8, dataset=dict(type='DemoDataset'))
val_dataloader = dict(dataset=dict(type='DemoDataset'))
test_dataloader = val_dataloader

train_cfg = dict(type='ResumableEpochTrainLoop', max_epochs=12, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=2, end='${train_cfg.max_epochs}', convert_to_iter_based=True)
]
