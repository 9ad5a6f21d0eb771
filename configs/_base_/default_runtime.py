# What every run of this package shares: MMAction2's own runtime, the last epoch's weights kept, one seed.
_base_ = 'mmaction::_base_/default_runtime.py'

custom_imports = dict(imports=['tvn_mmaction'], allow_failed_imports=False)
# No checkpoint is chosen by its accuracy on the test clips, which would flatter the result: the last one counts.
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
