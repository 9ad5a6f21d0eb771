# 100 epochs of SGD, 16 clips a step: one epoch of linear warm-up, then a cosine to zero. Only convolutions and the
# classifier decay: no norm, no bias, and nothing of TVN's gates.
_base_ = '../../_base_/schedule_40e.py'

train_cfg = dict(max_epochs=100)
optim_wrapper = dict(
    optimizer=dict(weight_decay=5e-4),
    clip_grad=dict(max_norm=5),
    paramwise_cfg=dict(
        norm_decay_mult=0,
        bias_decay_mult=0,
        custom_keys={name: dict(decay_mult=0) for name in ('context_gate', 'squeeze_excite')}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=100, convert_to_iter_based=True)
]
