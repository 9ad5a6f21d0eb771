"""Recognition of a camera, a stream or a file while it plays."""
