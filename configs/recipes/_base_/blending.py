# Every batch of clips is mixed with itself, labels too: by MixUp or by CutMix, with even chances. The cut is the same
# in all frames. model.data_preprocessor.blending=None leaves it out.
blending = dict(
    type='RandomBatchAugment',
    augments=[
        dict(type='MixupBlending', num_classes=50, alpha=0.2),
        dict(type='CutmixBlending', num_classes=50, alpha=1.0)
    ])
