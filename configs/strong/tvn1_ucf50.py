# TVN-1 on UCF50 from scratch, by the recipe with all parts: 8 frames of 200 x 200 pixels, train and test see the whole
# clip (it spans the whole clip, 4.6 s at 25 fps in the median; in training a random half or more of it). Beside the
# plain experiment, configs/tvn1_ucf50.py: augmentation, MixUp and CutMix, label smoothing, stronger dropout and weight
# decay, stochastic depth, averaged weights, 100 epochs; whole groups are tested. It is meant for thousands of steps,
# as UCF50 gives: tvn1_medium_ucf50.py is for fewer clips. parts.yaml says how to switch each part off.
_base_ = ['_base_/segments_8x200.py', '../_base_/tvn1.py']

model = dict(
    backbone=dict(num_segments=8, drop_path_rate=0.2),
    cls_head=dict(dropout_ratio=0.8, label_smooth_eps=0.1),
    data_preprocessor=dict(blending=_base_.blending))
