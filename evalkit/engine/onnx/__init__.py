"""Checkpoints as ONNX models: exported by torch, answered by onnxruntime."""
