# TVN-1 on what moves in UCF50: 8 differences of neighbouring frames, 16 frames of 200 x 200 pixels in all; no
# augmentation, no pretraining. Stock SampleFrames takes 8 pairs of the clip: one of each eighth at random in
# training, evenly spread in testing (one view).
_base_ = ['../_base_/differences.py', '../_base_/schedule_40e.py', '../_base_/tvn1.py']

model = dict(data_preprocessor=dict(mean=[128, 128, 128]))
