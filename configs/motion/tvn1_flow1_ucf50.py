# TVN-1 on the optical flow of UCF50: 8 fields of 200 x 200 pixels, x and y, their means subtracted; no augmentation,
# no pretraining. Stock SampleFrames takes one field of each eighth of the clip: at random in training, the middle one
# in testing (one view).
_base_ = ['../_base_/flow.py', '../_base_/schedule_40e.py', '../_base_/tvn1.py']

fields = 1
model = dict(backbone=dict(in_channels=2), data_preprocessor=dict(mean=[128], std=[128]))
