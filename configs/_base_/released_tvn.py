# Input of a released TVN and its network: neighbouring frames, at random in training, the middle ones in testing; a
# video that is too short repeats its last frame.
_base_ = ['dense.py', 'tvn1.py']

model = dict(type='Recognizer3D', data_preprocessor=dict(format_shape='NCTHW'))
sampling = dict(out_of_bound_opt='repeat_last', **_base_.sampling)
train_pipeline = [_base_.reader, sampling, *_base_.common_steps]
test_pipeline = [_base_.reader, dict(**sampling, test_mode=True), *_base_.common_steps]
