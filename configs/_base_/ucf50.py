# UCF50 as tools/build_ucf50.py lists it; a config adds its pipelines.
data_root = 'data/ucf50'
decoder = 'Decord'  # or OpenCV or PyAV, where Decord has no wheel

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='UCF50Dataset', data_root=data_root, ann_file='train.txt'))
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='UCF50Dataset', data_root=data_root, ann_file='test.txt', test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator
