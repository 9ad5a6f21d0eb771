# UCF50 as tools/build_ucf50.py describes it; a config adds its pipelines and may name another split.
data_root = 'data/ucf50'
decoder = 'Decord'  # or FrameStore, made by tools/build_ucf50.py --frames; or OpenCV or PyAV, where Decord has no wheel
split = dict(protocol='videowise', fold=0, seed=0)  # 85/15, clip by clip, as in the experiment: it leaks

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='UCF50Dataset', data_root=data_root, subset='train', **split))
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='UCF50Dataset', data_root=data_root, subset='test', test_mode=True, **split))
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator
