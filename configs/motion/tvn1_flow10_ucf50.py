# TVN-1 on the optical flow of UCF50: 8 stacks of 10 fields, 80 fields of 200 x 200 pixels, x and y as 20 channels,
# means subtracted; no augmentation, no pretraining. Stock SampleFrames takes one stack of each eighth of the clip at
# random in training, evenly spread ones in testing (one view).
_base_ = ['../_base_/flow.py', '../_base_/schedule_40e.py', '../_base_/tvn1.py']

model = dict(backbone=dict(in_channels=20), data_preprocessor=dict(mean=[128], std=[128]))
