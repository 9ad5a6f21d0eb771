# TVN-1 on UCF50: 8 frames of 200 x 200 pixels, no augmentation, no pretraining; train and test see the first 80 frames.
# It takes every 10th frame, 0 to 70, always the same ones, and repeats the last of them if the video is shorter.
_base_ = 'tvn1_ucf50.py'

clip = dict(_delete_=True, frames=8, size=200, span=80)
sampling = dict(type='SampleFirstFrames', clip_len='${clip.frames}', frame_interval='${clip.stride}')
train_pipeline = test_pipeline = [_base_.reader, sampling, *_base_.common_steps]
