# TVN-1 and the classifier of its release: mean over time and space, dropout 0.5, linear.
model = dict(
    type='Recognizer2D',
    backbone=dict(type='TinyVideoNet', arch='tvn1', num_segments=8),
    cls_head=dict(
        type='I3DHead', num_classes=50, in_channels=2048, dropout_ratio=0.5, init_std=0.01, average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCHW'))
