# UCF50 as tools/build_ucf50.py describes it. Configs define `train_pipeline` and `test_pipeline`, which all loaders
# refer to, and may name another split.
data_root = 'data/ucf50'
decoder = 'ExactVideo'  # or FrameStore, of tools/build_ucf50.py --frames; or Decord, OpenCV or PyAV
split = dict(protocol='videowise', fold=0, seed=0)  # 85/15, clip by clip, as in the experiment: it leaks

clips = dict(
    type='UCF50Dataset',
    data_root='${data_root}',
    protocol='${split.protocol}',
    fold='${split.fold}',
    seed='${split.seed}')
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**clips, subset='train', pipeline='${train_pipeline}'))
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**clips, subset='test', test_mode=True, pipeline='${test_pipeline}'))
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator
