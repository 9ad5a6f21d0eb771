# An LSTM on the features of single_frame_r50_ucf50, which tools/extract_features.py wrote: no video is read. 8 steps,
# the middle frame of each eighth of the clip, at 224 x 224 pixels, in training as in testing (one view); dropout 0.5.
# Where there are features, in_channels follows them.
_base_ = ['../_base_/default_runtime.py', '../_base_/ucf50.py', '../_base_/schedule_40e.py']

features = dict(
    folder='work_dirs/single_frame_r50_ucf50/features',
    network='single_frame_r50_ucf50',
    layer='input of cls_head',
    length=8)
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='RecurrentNet', cell='LSTM', in_channels=2048, channels=256, layers=1, bidirectional=False, dropout=0.0,
        normalise=True),
    cls_head=dict(
        type='I3DHead', num_classes=50, in_channels=256, dropout_ratio=0.5, init_std=0.01, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor'))

read = {name: f'${{features.{name}}}' for name in features}
train_pipeline = test_pipeline = [dict(type='LoadFeatures', **read), dict(type='PackActionInputs')]
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-3))
