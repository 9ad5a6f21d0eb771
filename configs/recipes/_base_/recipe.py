# The recipe: one frame of each eighth of a random half or more of the clip in training, the middle one of each eighth
# of the whole clip in testing, 200 pixels; whole groups are tested. 100 epochs of SGD, 16 clips a step: one epoch of
# linear warm-up, then a cosine to zero. Only convolutions and the classifier decay: no norm, no bias, and nothing of
# TVN's gates.
_base_ = ['../../_base_/segments.py', '../../_base_/schedule_40e.py', 'augmentation.py', 'blending.py']

split = dict(protocol='ucf101like')
clip = dict(size=200, stride=10)
decode, *common_steps = _base_.common_steps
# The steps follow the variable augmentation, which need not have all.
clip_augmentation = dict(type='Augmentation', order=['span'])
frame_augmentation = dict(type='Augmentation', order=['crop', 'flip', 'colour', 'rand_augment', 'erasing'])
train_pipeline = [_base_.reader, clip_augmentation, _base_.sampling, decode, frame_augmentation, *common_steps]

train_cfg = dict(max_epochs=100)
optim_wrapper = dict(
    optimizer=dict(weight_decay=5e-4),
    clip_grad=dict(max_norm=5),
    paramwise_cfg=dict(
        norm_decay_mult=0,
        bias_decay_mult=0,
        custom_keys={name: dict(decay_mult=0) for name in ('context_gate', 'squeeze_excite')}))
# A moving average of weights and batch norm statistics is evaluated and saved. It begins at once: at step t the last
# weights enter with 10 / (10 + t), so that it is always about the last tenth of the training that counts, up to 50,000
# steps; default_hooks.ema=None leaves it out.
default_hooks = dict(
    ema=dict(
        type='AveragedWeightsHook', ema_type='MomentumAnnealingEMA', momentum=2e-4, gamma=10, update_buffers=True))
