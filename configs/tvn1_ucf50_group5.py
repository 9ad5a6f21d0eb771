# TVN-1 on UCF50 by an honest split: the recipe of tvn1_ucf50.py, 8 frames of 200 x 200 pixels over the whole clip,
# trained on four fifths of the groups and tested on the last fifth, so that no source video is on both sides.
# tools/cross_validate.py runs all 5 folds.
_base_ = 'tvn1_ucf50.py'

split = dict(protocol='group5')
