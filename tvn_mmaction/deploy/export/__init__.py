"""Export to ONNX Runtime and OpenVINO."""
