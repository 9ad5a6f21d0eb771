# Runtime of all configs: MMAction2's own, with this package's runner and hooks, the last epoch's weights and one seed.
_base_ = 'mmaction::_base_/default_runtime.py'

custom_imports = dict(imports=['tvn_mmaction'], allow_failed_imports=False)
runner_type = 'TerminalRunner'
dataloader_type = 'FaultTolerantDataLoader'  # wraps data set and sampler of every loader: clips may be unreadable
# Up to this share, unreadable training clips are replaced; a clip may take so long to read.
broken_clips = dict(max_share=0.01, time_limit_s=60)
default_hooks = dict(
    # No checkpoint is chosen by its accuracy on the test clips, which would flatter the result: the last one counts.
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=2, save_best=None),
    history=dict(type='EpochHistoryHook'),
    progress=dict(type='ProgressBarHook'),
    broken_clips=dict(type='BrokenClipsHook', max_share='${broken_clips.max_share}'),
    loss=dict(type='InvalidLossHook'),
    random_state=dict(type='RandomStateHook'),
    interruption=dict(type='InterruptionHook'))
randomness = dict(seed=0)
