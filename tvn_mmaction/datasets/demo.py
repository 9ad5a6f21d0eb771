"""Synthetic demo data set: stick figures whose movement is the class and whose surroundings are the group.

Clips of one group share background, clothes, size and tempo in all classes, like clips cut from one video, so that a
test on held-out groups measures recognition of the movement. No class is the reverse of another: TVN-1 has no weights
along time and could not distinguish them.
"""

import colorsys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from mmaction.registry import DATASETS
from mmengine.dist import barrier, is_main_process

from ..utils.console import progress_bar
from ..utils.errors import UserError
from .manifest import FILE_NAME
from .preparation.builder import build_data_root
from .ucf50 import UCF50Dataset

WIDTH, HEIGHT, FPS = 320, 240, 25  # as UCF50
FRACTION_BITS = 4  # of a pixel coordinate, so that movements are smooth

# Lengths as a share of the body's height.
TORSO, UPPER_ARM, FOREARM, THIGH, SHIN, NECK, HEAD_RADIUS = 0.30, 0.16, 0.15, 0.24, 0.23, 0.02, 0.075
LIMB, SHOULDERS, HIPS = 0.065, 0.10, 0.06  # thickness; half the width, seen from the front

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Action:
    """A class: poses that a figure repeats in a smooth cycle.

    A pose holds 11 numbers: the position of the hip (forward) and the height above the ground, in body heights; then
    the direction in degrees (0 down, 90 forward, 180 up) of the torso, and of upper and lower part of the right arm,
    the left arm, the right leg and the left leg.
    """

    period_s: float
    poses: Sequence[Sequence[float]]
    from_front: bool = False  # else from the side
    speed: float = 0.0  # body heights per second
    turns: int = 0  # of the whole body per period; negative is clockwise


# fmt: off
ACTIONS = {
    # hip, lift  torso | right arm | left arm   | right leg | left leg
    'Cartwheel': Action(1.5, (
        (0, 0.00,  180,   155, 160,  -155, -160,    28,  28,   -28, -28),
    ), from_front=True, speed=0.25, turns=-1),
    'HandWaving': Action(0.7, (
        (0, 0.00,  178,   120, 155,    -8,   -4,     5,   5,    -5,  -5),
        (0, 0.00,  182,   130, 215,    -8,   -4,     5,   5,    -5,  -5),
    ), from_front=True),
    'JumpingJack': Action(1.0, (
        (0, 0.00,  180,    10,   6,   -10,   -6,     4,   2,    -4,  -2),
        (0, 0.07,  180,    80,  90,   -80,  -90,    14,  12,   -14, -12),
        (0, 0.00,  180,   150, 170,  -150, -170,    26,  24,   -26, -24),
        (0, 0.07,  180,    80,  90,   -80,  -90,    14,  12,   -14, -12),
    ), from_front=True),
    'Punch': Action(0.9, (
        (0.00, 0,  174,    25, 140,    40,  150,    28,   0,   -18, -34),
        (0.05, 0,  164,    95,  92,    30,  145,    34,   0,   -26, -38),
        (0.00, 0,  174,    25, 140,    40,  150,    28,   0,   -18, -34),
        (0.05, 0,  164,    20, 140,    96,   92,    34,   0,   -26, -38),
    )),
    'PushUps': Action(1.3, (
        (0, 0.00,  114,     0,   0,     4,    2,   -66, -66,   -66, -66),
        (0, 0.00,  101,   -70,  55,   -66,   52,   -79, -79,   -79, -79),
    )),
    'SitUps': Action(1.5, (
        (0, 0.00,  264,   110, 100,   114,  104,   130,  45,   134,  48),
        (0, 0.00,  172,    70,  88,    74,   92,   130,  45,   134,  48),
    )),
    'Squats': Action(1.5, (
        (0.00, 0,  180,    12,  20,     6,   16,     2,   0,    -2,  -2),
        (-0.14, 0, 148,    88,  92,    84,   88,    88, -26,    84, -28),
    )),
    'Walking': Action(1.1, (
        (0, 0.00,  177,   -26, -12,    26,   46,    26,  16,   -18, -32),
        (0, 0.00,  177,     0,  16,     0,   16,     4,   0,    16, -44),
        (0, 0.00,  177,    26,  46,   -26,  -12,   -18, -32,    26,  16),
        (0, 0.00,  177,     0,  16,     0,   16,    16, -44,     4,   0),
    ), speed=0.45),
}
# fmt: on


@dataclass(frozen=True)
class Scene:
    """Appearance shared by the clips of one group; lengths in pixels."""

    background: np.ndarray  # (HEIGHT, WIDTH, 3), uint8 RGB
    floor: float
    body_height: float
    build: float  # 1 is of usual thickness
    tempo: float  # 1 is the usual speed
    shirt: RGB
    trousers: RGB
    skin: RGB
    hair: RGB

    @classmethod
    def of_group(cls, group: int, seed: int = 0) -> 'Scene':
        """Return the random scene of a group; the same arguments give the same scene."""
        random = np.random.default_rng([seed, group])
        floor = HEIGHT * random.uniform(0.82, 0.90)
        return cls(
            background=_draw_background(random, horizon=round(floor - HEIGHT * random.uniform(0.06, 0.16))),
            floor=floor,
            body_height=HEIGHT * random.uniform(0.58, 0.68),
            build=random.uniform(0.85, 1.25),
            tempo=random.uniform(0.85, 1.2),
            shirt=_colour(random, hue=(0, 1), saturation=(0.6, 0.9), value=(0.4, 0.7)),
            trousers=_colour(random, hue=(0, 1), saturation=(0.3, 0.7), value=(0.2, 0.4)),
            skin=_colour(random, hue=(0.05, 0.08), saturation=(0.4, 0.6), value=(0.35, 0.75)),
            hair=_colour(random, hue=(0.05, 0.1), saturation=(0.3, 0.7), value=(0.05, 0.3)),
        )


def draw_demo(root: Path, seed: int = 0, groups: int = 16, clips_per_group: int = 2, frames: int = 48) -> None:
    """Draw the videos of a demo data set and build the data root `root`, with a progress bar on stderr.

    The folder appears when it is complete, and a complete demo set stays as it is. The same arguments give the same
    pixels and names, so that several processes may draw at once: the first one to finish provides the folder.

    Args:
        root: The `data_root` of `DemoDataset`.
        seed: Seed of the scenes.
        groups: Number of scenes, the same for every class.
        clips_per_group: Clips of each class in each group.
        frames: Length of a clip.

    Raises:
        UserError: The folder exists with other files, or cannot be created.
    """
    root = Path(root).absolute()
    if (root / FILE_NAME).exists():
        return
    if root.exists():
        raise UserError(f'{root} exists and is not a complete demo set. Choose another folder for the demo set.')
    numbers = list(product(ACTIONS, range(1, groups + 1), range(1, clips_per_group + 1)))
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{root.name}-', dir=root.parent) as temporary:
            unfinished = Path(temporary, root.name)
            with progress_bar() as bar:
                task = bar.add_task('drawing the demo set', total=len(numbers), status='')
                for name, group, clip in numbers:
                    path = unfinished / 'videos' / name / f'v_{name}_g{group:02d}_c{clip:02d}.avi'
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_video(path, draw_clip(name, group, clip, seed, frames))
                    bar.advance(task)
            build_data_root(unfinished / 'videos', unfinished, protocol='group5')
            try:
                unfinished.rename(root)
            except OSError:
                if not (root / FILE_NAME).exists():
                    raise
    except OSError as error:
        raise UserError(f'{root} cannot be drawn: {error.strerror}. Choose another folder.') from error


def draw_clip(class_name: str, group: int, clip: int, seed: int = 0, frames: int = 48) -> np.ndarray:
    """Draw one clip of a class of `ACTIONS`; the same arguments give the same pixels.

    Returns:
        `(frames, 240, 320, 3)`, uint8 RGB, 25 frames per second.
    """
    action, scene = ACTIONS[class_name], Scene.of_group(group, seed)
    random = np.random.default_rng([seed, group, clip, list(ACTIONS).index(class_name)])
    seconds = np.arange(frames) / FPS * scene.tempo * random.uniform(0.92, 1.08)
    start_cycle, centre, facing = random.uniform(), random.uniform(0.45, 0.55), random.choice([-1, 1])
    walked = action.speed * (seconds - seconds[-1] / 2) * scene.body_height
    origin = np.stack([WIDTH * centre + facing * walked, np.full(frames, scene.floor)], axis=1)[:, None]
    figure = _figure(action, seconds / action.period_s + start_cycle)
    figure = {part: origin + points * scene.body_height * [facing, 1] for part, points in figure.items()}
    return np.stack([_draw_frame(scene, {part: figure[part][i] for part in figure}) for i in range(frames)])


def _figure(action: Action, cycles: np.ndarray) -> dict[str, np.ndarray]:
    """Return the joints of each part as `(frames, joints, 2)`: (forward, down) in body heights, the floor at 0."""
    keys = np.array(action.poses, dtype=float)
    index, u = np.divmod(cycles[:, None] * len(keys), 1)
    a, b, c, d = (keys[(index[:, 0].astype(int) + step) % len(keys)] for step in (-1, 0, 1, 2))
    # A Catmull-Rom spline passes through every pose smoothly.
    pose = b + u / 2 * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    hip, lift = np.stack([pose[:, 0], np.zeros(len(pose))], axis=1), pose[:, 1]
    angles = np.radians(pose[:, 2:].T + 360 * action.turns * cycles)
    torso, *limbs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)  # 9 times (frames, 2)

    neck = hip + TORSO * torso
    across = np.stack([-torso[:, 1], torso[:, 0]], axis=1) * (1 if action.from_front else 0.15)
    shoulders, hips = SHOULDERS * across, HIPS * across
    chains = {
        'torso': (neck - shoulders, 2 * shoulders, hip + hips - neck - shoulders, -2 * hips),
        'head': (neck, (NECK + HEAD_RADIUS) * torso),
        'right arm': (neck + shoulders, UPPER_ARM * limbs[0], FOREARM * limbs[1]),
        'left arm': (neck - shoulders, UPPER_ARM * limbs[2], FOREARM * limbs[3]),
        'right leg': (hip + hips, THIGH * limbs[4], SHIN * limbs[5]),
        'left leg': (hip - hips, THIGH * limbs[6], SHIN * limbs[7]),
    }
    figure = {part: np.cumsum(chain, axis=0).swapaxes(0, 1) for part, chain in chains.items()}
    # The lowest joints touch the floor: feet, hands or the back.
    lowest = np.concatenate(list(figure.values()), axis=1)[..., 1].max(axis=1) + LIMB / 2
    return {part: points - [[[0, 1]]] * (lowest + lift)[:, None, None] for part, points in figure.items()}


def _draw_frame(scene: Scene, figure: dict[str, np.ndarray]) -> np.ndarray:
    """Draw a figure, whose joints are pixels (right, down), over the scene's background."""
    frame = scene.background.copy()
    limb = LIMB * scene.build * scene.body_height

    def line(joints: np.ndarray, colour: RGB, width: float) -> None:
        cv2.polylines(frame, [_fixed(joints)], False, colour, round(width * limb), cv2.LINE_AA, FRACTION_BITS)

    def disc(centre: np.ndarray, colour: RGB, radius: float) -> None:
        cv2.circle(frame, _fixed(centre), int(_fixed(radius)), colour, cv2.FILLED, cv2.LINE_AA, FRACTION_BITS)

    def leg(side: str, light: float) -> None:
        line(figure[f'{side} leg'], _lit(scene.trousers, light), 1.15)
        disc(figure[f'{side} leg'][2], _lit(scene.hair, light), 0.7 * limb)  # the shoe

    def arm(side: str, light: float) -> None:
        line(figure[f'{side} arm'][1:], _lit(scene.skin, light), 0.8)
        line(figure[f'{side} arm'][:2], _lit(scene.shirt, light), 1.0)
        disc(figure[f'{side} arm'][2], _lit(scene.skin, light), 0.55 * limb)  # the hand

    leg('left', 0.8)  # the far side
    arm('left', 0.8)
    leg('right', 1.0)
    cv2.fillPoly(frame, [_fixed(figure['torso'])], scene.shirt, cv2.LINE_AA, FRACTION_BITS)
    line(figure['torso'][[0, 1, 2, 3, 0]], scene.shirt, 1.2)
    neck, head = figure['head']
    line(figure['head'], scene.skin, 0.7)
    radius = HEAD_RADIUS * scene.body_height
    disc(head, scene.hair, radius)
    disc(head + 0.2 * (neck - head), scene.skin, 0.85 * radius)
    arm('right', 1.1)
    return frame


def _draw_background(random: np.random.Generator, horizon: int) -> np.ndarray:
    """Draw a wall with shapes and a floor below the row `horizon`, in pale colours, unlike the figures."""

    def pale() -> RGB:
        return _colour(random, hue=(0, 1), saturation=(0.05, 0.3), value=(0.65, 0.95))

    background = np.empty((HEIGHT, WIDTH, 3))
    for rows, count in ((slice(horizon), horizon), (slice(horizon, HEIGHT), HEIGHT - horizon)):
        background[rows] = np.linspace(pale(), pale(), count)[:, None]
    for _ in range(random.integers(3, 7)):
        left, top = random.integers(0, (WIDTH - 20, horizon - 20))
        right, bottom = min(left + random.integers(20, 90), WIDTH), min(top + random.integers(20, 90), horizon)
        if random.uniform() < 0.5:
            cv2.rectangle(background, (left, top), (right - 1, bottom - 1), pale(), cv2.FILLED)
        else:
            centre, axes = ((left + right) // 2, (top + bottom) // 2), ((right - left) // 2, (bottom - top) // 2)
            cv2.ellipse(background, centre, axes, 0, 0, 360, pale(), cv2.FILLED)
    noise = cv2.resize(random.normal(0, 5, (HEIGHT // 4, WIDTH // 4)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(background + noise[..., None], 0, 255).astype(np.uint8)


def _colour(
    random: np.random.Generator,
    hue: tuple[float, float],
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> RGB:
    hsv = (random.uniform(*bounds) for bounds in (hue, saturation, value))
    return tuple(255 * channel for channel in colorsys.hsv_to_rgb(*hsv))


def _lit(colour: RGB, light: float) -> RGB:
    return tuple(light * channel for channel in colour)


def _fixed(pixels: np.ndarray | float) -> np.ndarray:
    """Return coordinates in fixed point, as OpenCV takes fractions of a pixel."""
    return np.round(np.asarray(pixels) * 2**FRACTION_BITS).astype(np.int32)


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write `(T, H, W, 3)` uint8 RGB frames as an AVI file."""
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'XVID'), FPS, (width, height))
    if not writer.isOpened():
        raise UserError(f'{path} cannot be written as XVID video. Install the wheel of opencv-python.')
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


@DATASETS.register_module()
class DemoDataset(UCF50Dataset):
    """A `UCF50Dataset` that `draw_demo` creates if its folder has no manifest.

    Args:
        data_root: The folder to draw into.
        **kwargs: As for `UCF50Dataset`.
    """

    def __init__(self, data_root: str = 'data/demo', **kwargs):
        if is_main_process():
            draw_demo(Path(data_root))
        barrier()  # the other processes wait
        super().__init__(data_root=data_root, **kwargs)
