# TSN with ResNet-18 from scratch on a few hundred clips, by the recipe of tvn1_light_ucf50.py at the learning rate of
# tsn_r18_ucf50.py. 8 frames of 200 x 200 pixels.
_base_ = 'tsn_r18_ucf50.py'

augmentation = dict(colour=None, erasing=None)
model = dict(data_preprocessor=dict(blending=None))
