# What every run of this package shares: MMAction2's own runtime, the last epoch's weights kept, one seed.
_base_ = 'mmaction::_base_/default_runtime.py'

custom_imports = dict(imports=['tvn_mmaction'], allow_failed_imports=False)
# No checkpoint is chosen by its accuracy on the test clips, which would flatter the result: the last one counts.
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
# Of the training clips, those that cannot be read are replaced up to this share; a clip may take so long to read.
broken_clips = dict(max_share=0.01, time_limit_s=60)
