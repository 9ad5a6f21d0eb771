"""Audio for the demo set: tone and rhythm depend on the class, background on the group."""

import io
import re
from pathlib import Path

import numpy as np
from mmaction.registry import DATASETS

from ..utils.errors import UserError
from ..utils.io import write_atomically
from .demo import ACTIONS, FPS, DemoDataset

BANDS = 80  # from low to high, on the mel scale
STEPS_PER_SECOND = 100


def draw_sound(class_name: str, group: int, clip: int, seed: int = 0, frames: int = 48) -> np.ndarray:
    """Return the log-mel map of a clip of the demo set; the same arguments give the same map.

    A tone of the class sounds at every pose of the movement, over hum and noise.

    Returns:
        `(steps, BANDS)`, float32 from 0 to 1, `STEPS_PER_SECOND`.
    """
    action, index = ACTIONS[class_name], list(ACTIONS).index(class_name)
    room = np.random.default_rng([seed, group])
    tempo, shift, hum, noise = room.uniform((0.85, -3, 4, 0.02), (1.2, 3, 76, 0.12))
    random = np.random.default_rng([seed, group, clip, index])
    seconds = np.arange(round(frames / FPS * STEPS_PER_SECOND)) / STEPS_PER_SECOND
    strike = (seconds * tempo * len(action.poses) / action.period_s + random.uniform()) % 1
    bands = np.arange(BANDS)
    pitch = 10 + 60 * index / len(ACTIONS) + shift + random.uniform(-1, 1)

    def tone(band: float) -> np.ndarray:
        return np.exp(-0.5 * ((bands - band) / 1.5) ** 2)

    sound = np.exp(-5 * strike)[:, None] * (0.7 * tone(pitch) + 0.3 * tone(pitch + 9)) + 0.3 * tone(hum)
    return np.clip(sound + random.normal(0, noise, sound.shape), 0, 1).astype(np.float32)


@DATASETS.register_module()
class DemoAudioDataset(DemoDataset):
    """A `DemoDataset` with log-mel maps of its clips; missing ones are created.

    Each entry of the data list also has `audio_path` and `total_frames`, for MMAction2's LoadAudioFeature.

    Raises:
        UserError: The data set is not the demo set.
    """

    def load_data_list(self) -> list[dict]:
        """Return one `dict(filename, label, group, sha256, audio_path, total_frames)` per clip."""
        data_list = super().load_data_list()
        frames = {str(Path(self.data_root, clip.path)): clip.frames for clip in self.clips}
        for entry in data_list:
            video = Path(entry['filename'])
            numbers = re.search(r'_g(\d+)_c(\d+)$', video.stem)
            if video.parent.name not in ACTIONS or not numbers:
                raise UserError(
                    f'{video} is not a clip of the demo set, and DemoAudioDataset has no audio for other clips. Use '
                    "MMAction2's AudioDataset for your own audio."
                )
            path = Path(self.data_root, 'audio', video.parent.name, f'{video.stem}.npy')
            entry |= {'audio_path': str(path), 'total_frames': frames[entry['filename']]}
            if not path.is_file():
                file = io.BytesIO()
                np.save(file, draw_sound(video.parent.name, *map(int, numbers.groups()), frames=entry['total_frames']))
                write_atomically(path, file.getvalue())
        return data_list
