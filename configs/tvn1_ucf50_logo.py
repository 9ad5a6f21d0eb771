# TVN-1 on UCF50, leaving one group out: the recipe of tvn1_ucf50.py, 8 frames of 200 x 200 pixels over the whole clip,
# trained on 24 groups of every class and tested on the 25th, so that no source video is on both sides.
# tools/cross_validate.py runs all 25 folds.
_base_ = 'tvn1_ucf50.py'

split = dict(protocol='logo')
