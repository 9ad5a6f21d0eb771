"""Viewer of live recognition: a window if there is a display, a line in the terminal, a video."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from rich.live import Live

from ...utils.console import console
from .overlay import Caption, VideoAnnotator, check_is_another_file, draw
from .recognition import FrameRecognizer, LiveRecognition, LiveResult
from .window import Window


def view(source: str | Path, recognizer: FrameRecognizer, annotated: Path | None = None) -> str:
    """Recognise a live source until it ends, or until q or Esc in the window, or Ctrl-C.

    A window is opened if there is a display. The status is one line of the terminal; if stderr is not a terminal, each
    change of the label is a line on stdout.

    Args:
        source: A camera's number, a URL, or a file, which is played at its own speed.
        recognizer: The recognizer of the windows of frames.
        annotated: An MP4 to write, without sound: every frame with the newest label.

    Returns:
        A summary in one sentence.

    Raises:
        UserError: The source does not open or breaks off, or `annotated` is that source or cannot be written.
    """
    if annotated:
        check_is_another_file(annotated, Path(source))
    frame_count, worst_delay_ms, result = 0, 0.0, None
    with ExitStack() as stack:
        # First, since it takes a while, in which the frames of a running source would be lost.
        window = stack.enter_context(Window('tvn_mmaction'))
        if not (has_window := window.is_open):
            console.print('no display for a window; press Ctrl-C to end', style='dim')
        live = stack.enter_context(LiveRecognition(source, recognizer))
        annotator = stack.enter_context(VideoAnnotator(annotated, live.source.fps)) if annotated else None
        status = stack.enter_context(_Status())
        try:
            for frame, result in live.frames():
                if annotator or has_window:
                    picture = draw(frame.pixels, result and caption_of(result))
                if annotator:
                    annotator.write(picture, frame.time_s)
                if has_window:
                    window.show(picture)
                    if not window.is_open:
                        break
                status.show(result)
                frame_count = frame.number + 1
                worst_delay_ms = max(worst_delay_ms, result.delay_ms if result else 0)
        except KeyboardInterrupt:  # ends a camera without a window
            pass
    if result is None:
        return f'{live.source.name}: ended before the first label'
    return (
        f'{live.source.name}: {frame_count} frames, {result.dropped} dropped, last label {result.label} '
        f'({result.probability:.1%}), label at most {worst_delay_ms:.0f} ms after its frame'
    )


def caption_of(result: LiveResult) -> Caption:
    """Return the text to draw for a result."""
    times = f'network {result.network_ms:.0f} ms, delay {result.delay_ms:.0f} ms'
    return Caption(result.label, result.probability, [times, *_frames_so_far(result)])


def _frames_so_far(result: LiveResult) -> list[str]:
    if result.seen_frames == len(result.frame_numbers):
        return []
    return [f'{result.seen_frames} of {len(result.frame_numbers)} frames so far']


class _Status(AbstractContextManager):
    def __init__(self):
        self._live = Live(console=console, transient=True, refresh_per_second=10) if console.is_terminal else None
        self._label: str | None = None

    def __enter__(self) -> '_Status':
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error) -> None:
        if self._live:
            self._live.stop()

    def show(self, result: LiveResult | None) -> None:
        """Show a result, or that there is no result yet."""
        if self._live:
            self._live.update(status_line(result) if result else 'waiting for the first label')
        elif result and result.label != self._label:
            self._label = result.label
            print(f'{result.time_s:.1f} s: {status_line(result)}', flush=True)


def status_line(result: LiveResult) -> str:
    """Return a result as one line."""
    line = (
        f'{result.label}  {result.probability:.1%}  network {result.network_ms:.0f} ms  '
        f'delay {result.delay_ms:.0f} ms  dropped {result.dropped}'
    )
    return '  '.join([line, *_frames_so_far(result)])
