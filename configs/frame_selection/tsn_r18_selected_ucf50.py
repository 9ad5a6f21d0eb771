# TSN with ResNet-18 on UCF50, on selected frames: no augmentation, no pretraining; train and test see the same ones.
# 8 frames of 224 x 224 pixels, the best of 16 that span the whole clip, in order of time (one view).
# First: tools/select_frames.py, with a selector trained on the same split.
_base_ = '../baselines/tsn_r18_ucf50.py'

selection = 'work_dirs/selection/smart.json'
sampling = dict(type='SelectedFrames', selection='${selection}', clip_len=1, num_clips='${clip.frames}')
train_pipeline = test_pipeline = [_base_.reader, sampling, *_base_.common_steps]
