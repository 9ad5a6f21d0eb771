# What a training clip goes through, all of its frames alike; the option augmentation.NAME=None leaves a step out.
# A random part of the video is sampled as if it were all of it; then the frames are cropped, flipped, and so on. They
# are cropped before they get the network's size, from what the decoder or the frame store has.
augmentation = dict(
    span=dict(type='RandomSpan', shortest=0.5),
    crop=dict(type='RandomResizedCrop', area_range=(0.3, 1.0)),
    flip=dict(type='Flip', flip_ratio=0.5),
    colour=dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0),  # any hue fails with NumPy 2
    erasing=dict(type='RandomErasing', erase_prob=0.25, fill_color=(124, 116, 104)))
