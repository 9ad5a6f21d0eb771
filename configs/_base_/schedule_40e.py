# 40 epochs of SGD, 16 clips a step: one epoch of linear warm-up, then a cosine to zero.
train_cfg = dict(type='ResumableEpochTrainLoop', max_epochs=40, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4), clip_grad=dict(max_norm=40, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=1, end='${train_cfg.max_epochs}', convert_to_iter_based=True)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
