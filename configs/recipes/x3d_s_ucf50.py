# X3D-S on UCF50 from scratch, by the recipe of tsn_r18_ucf50.py: 13 frames, stride 6, of 160 x 160 pixels, at random in
# training, the middle ones in testing (one view). The augmentation span, a random part for a clip, is left out: the
# sampling is dense.
_base_ = ['_base_/recipe.py', 'mmaction::_base_/models/x3d.py']

clip = dict(_delete_=True, frames=13, size=160, span=78)
augmentation = dict(span=None)
model = dict(
    cls_head=dict(num_classes=50, dropout_ratio=0.5, label_smooth_eps=0.1),
    data_preprocessor=dict(blending=_base_.blending))

sampling = dict(type='SampleFrames', clip_len='${clip.frames}', frame_interval='${clip.stride}', num_clips=1)
resize, _, pack = _base_.common_steps
steps = [resize, dict(type='FormatShape', input_format='NCTHW'), pack]
train_pipeline = [_base_.reader, sampling, _base_.decode, _base_.frame_augmentation, *steps]
test_pipeline = [_base_.reader, dict(**sampling, test_mode=True), _base_.decode, *steps]
