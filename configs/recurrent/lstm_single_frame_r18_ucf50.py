# An LSTM on the features of single_frame_r18_ucf50, which tools/extract_features.py wrote: no video is read. 8 steps,
# the middle frame of each eighth of the clip, at 224 x 224 pixels, in training as in testing (one view); dropout 0.5.
# Where there are features, in_channels follows them.
_base_ = 'lstm_single_frame_r50_ucf50.py'

features = dict(
    folder='work_dirs/single_frame_r18_ucf50/features',
    network='single_frame_r18_ucf50',
    layer='input of cls_head',
    length=8)
model = dict(backbone=dict(in_channels=512))
