# The runtime of this package, and a moving average of weights and batch norm statistics, which is what is evaluated and
# saved. It begins at once: at step t the last weights enter with 10 / (10 + t), so that it is always about the last
# tenth of the training that counts, up to 50,000 steps; default_hooks.ema=None leaves it out.
_base_ = '../../_base_/default_runtime.py'

default_hooks = dict(
    ema=dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=2e-4, gamma=10, update_buffers=True))
