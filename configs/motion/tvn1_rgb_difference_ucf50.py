# TVN-1 on what moves in UCF50: 8 differences of neighbouring frames, 16 frames of 200 x 200 pixels in all; no
# augmentation, no pretraining. Stock SampleFrames takes 8 pairs of the clip: one of each eighth at random in training,
# evenly spread in testing (one view). It spans the whole clip, 4.6 s at 25 fps in the median.
_base_ = ['../_base_/differences_8x200.py', '../_base_/tvn1.py']

model = dict(data_preprocessor=dict(mean=[128, 128, 128]))
