# Input: `fixed_frames` neighbouring frames, for a network whose layers fix their number; at random in training, the
# middle ones in testing.
_base_ = 'dense.py'

clip = dict(_delete_=True, size=112)
fixed_frames = 16
sampling = dict(type='SampleFrames', clip_len='${fixed_frames}', frame_interval=1, num_clips=1)
train_pipeline = [_base_.reader, sampling, *_base_.common_steps]
test_pipeline = [_base_.reader, dict(**sampling, test_mode=True), *_base_.common_steps]
